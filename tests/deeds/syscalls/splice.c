#include "deed.h"

DEED("moves pages between files past its own memory", BY_FILTER, THROUGH("EINVAL"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_splice, STDIN_FILENO, NULL, STDOUT_FILENO, NULL, 1, 0), "splice");
}
