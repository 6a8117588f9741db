/* spin.h: burning CPU time. */
#ifndef CORDON_SPIN_H
#define CORDON_SPIN_H

#include <time.h>

static inline double monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline double cpu_seconds(void) {
    return (double)clock() / CLOCKS_PER_SEC;
}

/* However little of a processor there is for it, not beyond 20 s. */
static inline void spin_cpu_seconds(double seconds) {
    double end = cpu_seconds() + seconds, last = monotonic_seconds() + 20;
    while (cpu_seconds() < end && monotonic_seconds() < last) {
    }
}

static inline void spin_seconds(double seconds) {
    double end = monotonic_seconds() + seconds;
    while (monotonic_seconds() < end) {
    }
}

#endif
