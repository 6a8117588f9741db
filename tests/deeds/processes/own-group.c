#include "deed.h"

DEED("leaves its process group", BY_FILTER)

static void permitted(const char *data) {
    (void)data;
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    (void)data;
    tell(setpgid(0, 0), "setpgid");
}
