#include "deed.h"

DEED("gives pages of its own to a pipe", BY_FILTER)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_vmsplice, STDOUT_FILENO, NULL, 0, 0), "vmsplice");
}
