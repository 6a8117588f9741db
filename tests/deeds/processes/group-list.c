#include <grp.h>

#include "deed.h"

DEED("joins groups", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    tell(getgid(), "getgid");
}

static void deed(const char *data) {
    gid_t group = 0;
    tell(setgroups(1, &group), "setgroups");
}
