#include "deed.h"

DEED("overflows its stack in a constructor", BY("SIGSEGV", "process"))

static int error = -1;

/* Volatile, so that no compiler makes a loop of it. */
static int deeper(volatile int depth) {
    volatile char room[4096];
    room[0] = (char)depth;
    return depth == 0 || depth == 1000000000 ? 0 : deeper(depth + 1) + room[0] - room[0];
}

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = deeper(0) == 0 ? 0 : EINVAL;
#else
    error = deeper(1) == 0 ? 0 : EINVAL;
#endif
}

static void tell_early(const char *what) {
    if (error != 0) {
        stopped(error, "%s", what);
    } else {
        done("%s", what);
    }
}

static void permitted(const char *data) {
    tell_early("a little recursion");
}

static void deed(const char *data) {
    tell_early("recursion without end");
}
