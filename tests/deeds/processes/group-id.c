#include "deed.h"

DEED("becomes another group", BY_FILTER ELSE("EINVAL", "ids") ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    tell(getgid(), "getgid");
}

static void deed(const char *data) {
    tell(setresgid(1, 1, 1), "setresgid");
}
