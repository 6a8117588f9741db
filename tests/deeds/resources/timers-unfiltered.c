#include <signal.h>
#include <time.h>

#include "deed.h"

DEED("makes timers without end, under a filter that allows it", BY("EAGAIN", "rlimits"), UNFILTERED)

static void make_timers(int wanted) {
    int made = 0;
    timer_t timer;
    while (made < wanted && timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0) {
        made++;
    }
    if (made == wanted) {
        done("%d timers", made);
    } else {
        stopped(errno, "timer_create after %d", made);
    }
}

static void permitted(const char *data) {
    make_timers(3);
}

static void deed(const char *data) {
    make_timers(10000);
}
