#include <sched.h>
#include <sys/resource.h>

#include "deed.h"

DEED("raises its priority", BY_FILTER ELSE("EACCES", "ids") ELSE("EACCES", "capabilities"))

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    tell(setpriority(PRIO_PROCESS, 0, -5), "setpriority");
}
