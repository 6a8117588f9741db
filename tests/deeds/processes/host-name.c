#include "deed.h"

DEED("gives its host a name", BY_FILTER ELSE("EPERM", "ids") ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    (void)data;
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    (void)data;
    tell(sethostname("evil", 4), "sethostname");
}
