#include "deed.h"

DEED("swaps to a file of its own", BY_FILTER ELSE_NO_RIGHTS, THROUGH("EINVAL"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_swapon, "/dev/null", 0), "swapon");
}
