#include "deed.h"

DEED("opens as many files as it can, under a filter that allows it",
     BY("EMFILE", "rlimits"),
     UNFILTERED)

static void permitted(const char *data) {
    int fd = dup(STDIN_FILENO);
    tell(fd, "dup");
    close(fd);
}

static void deed(const char *data) {
    int made = 0;
    while (made < 200 && dup(STDIN_FILENO) >= 0) {
        made++;
    }
    if (made == 200) {
        done("200 files");
    } else {
        stopped(errno, "dup after %d files", made);
    }
}
