#include <signal.h>
#include <time.h>

#include "deed.h"

DEED("makes timers, each with a queued signal of its own", BY_FILTER)

static void permitted(const char *data) {
    struct timespec now;
    tell(clock_gettime(CLOCK_MONOTONIC, &now), "clock_gettime");
}

static void deed(const char *data) {
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    int result = timer_create(CLOCK_MONOTONIC, &event, &timer);
    tell(result, "timer_create");
    if (result == 0) {
        timer_delete(timer);
    }
}
