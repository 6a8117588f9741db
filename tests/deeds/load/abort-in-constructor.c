#include "deed.h"

DEED("aborts in a constructor", BY("SIGABRT", "process"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = 0;
#else
    abort();
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
    tell_early("the permitted act");
}

static void deed(const char *data) {
    tell_early("abort");
}
