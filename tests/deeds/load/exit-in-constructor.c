#include "deed.h"

DEED("exits with 0 in a constructor, as if all were well", BY("exit 0", "process"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = 0;
#else
    exit(0);
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
    tell_early("exit");
}
