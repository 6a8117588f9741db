#include <linux/kcmp.h>
#include <sched.h>

#include "deed.h"

DEED("compares its kernel objects with those of process 1", BY_FILTER ELSE("EPERM", "kernel"))

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    tell(syscall(SYS_kcmp, getpid(), 1, KCMP_VM, 0, 0), "kcmp");
}
