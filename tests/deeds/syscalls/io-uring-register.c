#include "deed.h"

DEED("registers memory for work past every filter",
     BY_KILL("io_uring_register"),
     THROUGH("EOPNOTSUPP"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_io_uring_register, STDIN_FILENO, 0, NULL, 0), "io_uring_register");
}
