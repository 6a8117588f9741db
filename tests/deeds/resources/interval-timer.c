#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "deed.h"

DEED("has the kernel send it signals without end", BY_FILTER)

static void permitted(const char *data) {
    struct timespec now;
    tell(clock_gettime(CLOCK_MONOTONIC, &now), "clock_gettime");
}

static void deed(const char *data) {
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    int result;
    signal(SIGALRM, SIG_IGN);
    result = setitimer(ITIMER_REAL, &often, NULL);
    tell(result, "setitimer");
    setitimer(ITIMER_REAL, &never, NULL);
}
