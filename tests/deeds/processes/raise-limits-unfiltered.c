#include <sys/resource.h>

#include "deed.h"

DEED("raises its own limit on open files, under a filter that allows it",
     BY("EPERM", "kernel"),
     UNFILTERED)

static void permitted(const char *data) {
    struct rlimit now;
    tell(getrlimit(RLIMIT_NOFILE, &now) != 0 ? -1 : setrlimit(RLIMIT_NOFILE, &now), "setrlimit");
}

static void deed(const char *data) {
    struct rlimit more = {1 << 16, 1 << 16};
    tell(setrlimit(RLIMIT_NOFILE, &more), "setrlimit");
}
