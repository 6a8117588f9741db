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

static inline void spin_cpu_seconds(double seconds) {
    double end = cpu_seconds() + seconds;
    while (cpu_seconds() < end) {
    }
}

static inline void spin_seconds(double seconds) {
    double end = monotonic_seconds() + seconds;
    while (monotonic_seconds() < end) {
    }
}

#endif
