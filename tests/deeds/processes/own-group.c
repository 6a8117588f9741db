#include "deed.h"

DEED("leaves its process group", BY_FILTER)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(setpgid(0, 0), "setpgid");
}
