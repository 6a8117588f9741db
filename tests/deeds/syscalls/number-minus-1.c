#include "deed.h"

DEED("makes system call -1, which tracers use to skip one",
     BY("ENOSYS", "seccomp") ELSE("ENOSYS", "kernel"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(-1, 0, 0, 0, 0, 0, 0), "system call -1");
}
