#include <sched.h>

#include "deed.h"

DEED("has its thread run before all others",
     BY_FILTER ELSE("EPERM", "ids") ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    (void)data;
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    struct sched_param priority = {.sched_priority = 1};
    (void)data;
    tell(sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority), "sched_setscheduler");
}
