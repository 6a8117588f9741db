#include "deed.h"

DEED("restarts the machine", BY_FILTER ELSE_NO_RIGHTS, THROUGH("EINVAL"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_reboot, 0, 0, 0, NULL), "reboot");
}
