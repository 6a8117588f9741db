#include "deed.h"

DEED("sleeps in a constructor, which costs no CPU time", BY("deadline", "deadline"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    usleep(1000);
    error = 0;
#else
    sleep(600);
    error = 0;
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
    tell_early("1 ms");
}

static void deed(const char *data) {
    tell_early("600 s");
}
