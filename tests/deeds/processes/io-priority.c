#include <sched.h>

#include "deed.h"

DEED("has its disk accesses served first", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    tell(syscall(SYS_ioprio_set, 1, 0, 1 << 13), "ioprio_set to real time");
}
