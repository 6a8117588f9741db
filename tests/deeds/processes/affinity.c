#include <sched.h>

#include "deed.h"

DEED("says which processors it runs on", BY_FILTER)

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET(0, &processors);
    tell(sched_setaffinity(0, sizeof processors, &processors), "sched_setaffinity");
}
