#include <grp.h>

#include "deed.h"

DEED("joins groups", BY_FILTER ELSE("EPERM", "ids") ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    (void)data;
    tell(getgid(), "getgid");
}

static void deed(const char *data) {
    (void)data;
    gid_t group = 0;
    tell(setgroups(1, &group), "setgroups");
}
