#include <sched.h>
#include <signal.h>

#include "deed.h"

DEED("sends process 1 a signal with a value", BY_FILTER ELSE("EPERM", "landlock-scopes"))

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    tell(sigqueue(1, 0, (union sigval){.sival_int = 1}), "sigqueue");
}
