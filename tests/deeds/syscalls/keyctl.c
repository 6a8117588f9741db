#include <linux/keyctl.h>

#include "deed.h"

DEED("asks for its session keyring", BY_KILL("keyctl"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0), "keyctl");
}
