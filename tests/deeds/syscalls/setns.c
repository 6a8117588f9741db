#include <sched.h>

#include "deed.h"

DEED("enters a namespace that an open file names", BY_KILL("setns"), THROUGH("EINVAL"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(setns(STDIN_FILENO, 0), "setns");
}
