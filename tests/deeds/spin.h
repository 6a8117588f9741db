/* spin.h: burning CPU time. */
#ifndef CORDON_SPIN_H
#define CORDON_SPIN_H

#include <time.h>

static inline double monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline void spin_seconds(double seconds) {
    double end = monotonic_seconds() + seconds;
    while (monotonic_seconds() < end) {
    }
}

#endif
