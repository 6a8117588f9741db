#include <sched.h>

#include "deed.h"

DEED("takes an fd of process 1", BY_KILL("pidfd_getfd") ELSE("EPERM", "kernel"))

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    long process = syscall(SYS_pidfd_open, 1, 0);
    long fd = syscall(SYS_pidfd_getfd, process, 0, 0);
    tell(fd, "pidfd_getfd");
    close((int)fd);
    close((int)process);
}
