#include <sys/resource.h>

#include "deed.h"

DEED("raises its own limit on open files", BY_FILTER ELSE("EPERM", "rlimits"))

static void permitted(const char *data) {
    struct rlimit limit;
    tell(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
}

static void deed(const char *data) {
    struct rlimit more = {.rlim_cur = 4096, .rlim_max = 4096};
    tell(setrlimit(RLIMIT_NOFILE, &more), "setrlimit");
}
