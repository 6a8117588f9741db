#include <linux/keyctl.h>

#include "deed.h"

DEED("leaves something in a keyring, which namespaces don't hold", BY_KILL("add_key"))

static void permitted(const char *data) {
    char random[16];
    tell(syscall(SYS_getrandom, random, sizeof random, 0), "getrandom");
}

static void deed(const char *data) {
    tell(syscall(SYS_add_key, "user", "deed", "x", 1, KEY_SPEC_PROCESS_KEYRING), "add_key");
}
