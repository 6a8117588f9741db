#include "deed.h"

DEED("leaves its session", BY_FILTER)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(setsid(), "setsid");
}
