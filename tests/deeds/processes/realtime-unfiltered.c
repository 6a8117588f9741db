#include <sched.h>

#include "deed.h"

DEED("runs before every other process, under a filter that allows it",
     BY("EPERM", "kernel"),
     UNFILTERED)

static void permitted(const char *data) {
    struct sched_param parameters = {0};
    tell(sched_setscheduler(0, SCHED_BATCH, &parameters), "sched_setscheduler");
}

static void deed(const char *data) {
    struct sched_param parameters = {.sched_priority = 1};
    tell(sched_setscheduler(0, SCHED_FIFO, &parameters), "sched_setscheduler");
}
