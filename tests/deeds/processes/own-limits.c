#include <sys/resource.h>

#include "deed.h"

DEED("raises its own limit on open files",
     BY_FILTER ELSE("EPERM", "ids") ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    struct rlimit limit;
    (void)data;
    tell(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
}

static void deed(const char *data) {
    struct rlimit limit;
    (void)data;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max += 1;
    }
    tell(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}
