#include <sched.h>
#include "deed.h"

DEED("gets a handle of process 1", BY_FILTER)

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    long fd = syscall(SYS_pidfd_open, 1, 0);
    tell(fd, "pidfd_open");
    close((int)fd);
}
