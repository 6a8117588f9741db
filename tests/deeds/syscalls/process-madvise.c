#include "deed.h"

DEED("advises the kernel on memory of another process", BY_FILTER, THROUGH("EBADF"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_process_madvise, -1, NULL, 0, 0, 0), "process_madvise");
}
