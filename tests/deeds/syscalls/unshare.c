#include <sched.h>

#include "deed.h"

DEED("enters a user namespace of its own, in which it would have every capability",
     BY_KILL("unshare") ELSE("ENOSPC", "ids"))

static void permitted(const char *data) {
    tell(geteuid(), "geteuid");
}

static void deed(const char *data) {
    tell(unshare(CLONE_NEWUSER), "unshare");
}
