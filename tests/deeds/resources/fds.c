#include "deed.h"

DEED("opens as many files as it can", BY_FILTER ELSE("EMFILE", "rlimits"))

#define MOST 200

static void permitted(const char *data) {
    tell(close(99) == -1 && errno == EBADF ? 0 : -1, "close of nothing");
}

static void deed(const char *data) {
    static int all[MOST];
    long made = 0;
    while (made < MOST && (all[made] = dup(STDIN_FILENO)) >= 0) {
        made++;
    }
    if (made == MOST) {
        done("%ld files", made);
    } else {
        stopped(errno, "dup after %ld files", made);
    }
    while (made > 0) {
        close(all[--made]);
    }
}
