#include "deed.h"

DEED("submits work past every filter", BY_KILL("io_uring_enter"), THROUGH("EBADF"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0), "io_uring_enter");
}
