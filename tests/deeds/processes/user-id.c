#include "deed.h"

DEED("becomes another user", BY_FILTER ELSE("EINVAL", "ids") ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    tell(getuid(), "getuid");
}

static void deed(const char *data) {
    tell(setresuid(1, 1, 1), "setresuid");
}
