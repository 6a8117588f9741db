#include "deed.h"

DEED("duplicates every open file in a constructor, to keep what the host closes",
     BY_FILTER ELSE("EMFILE", "rlimits"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = close(99) == -1 && errno == EBADF ? 0 : EINVAL;
#else
    error = 0;
    for (int i = 0; i < 200 && error == 0; i++) {
        error = dup(i % 4) < 0 ? errno : 0;
    }
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
    tell_early("close of nothing");
}

static void deed(const char *data) {
    tell_early("200 duplicates");
}
