#include "deed.h"

DEED("makes a system call that doesn't exist", BY("ENOSYS", "seccomp") ELSE("ENOSYS", "kernel"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(9999, 0, 0, 0, 0, 0, 0), "system call 9999");
}
