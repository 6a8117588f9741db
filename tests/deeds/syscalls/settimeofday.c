#include "deed.h"

DEED("sets the clock", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_settimeofday, NULL, NULL), "settimeofday");
}
