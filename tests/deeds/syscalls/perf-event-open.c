#include <linux/perf_event.h>
#include <time.h>

#include "deed.h"

DEED("counts events of the processor", BY_KILL("perf_event_open"))

static struct perf_event_attr counter = {
    .type = PERF_TYPE_SOFTWARE,
    .size = sizeof counter,
    .config = PERF_COUNT_SW_TASK_CLOCK,
    .exclude_kernel = 1,
};

static void permitted(const char *data) {
    struct timespec now;
    tell(clock_gettime(CLOCK_MONOTONIC, &now), "clock_gettime");
}

static void deed(const char *data) {
    tell(syscall(SYS_perf_event_open, &counter, 0, -1, -1, 0), "perf_event_open");
}
