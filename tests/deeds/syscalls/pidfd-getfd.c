#include "deed.h"

/* Whoever may try is told that stdin is no pidfd. */
DEED("takes an open file of another process", BY_KILL("pidfd_getfd"), THROUGH("EBADF"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_pidfd_getfd, STDIN_FILENO, 0, 0), "pidfd_getfd");
}
