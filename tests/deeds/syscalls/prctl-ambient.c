#include <sys/prctl.h>

#include "deed.h"

DEED("raises an ambient capability", BY_FILTER ELSE_NO_RIGHTS ELSE("EPERM", "kernel"))

static void permitted(const char *data) {
    tell(prctl(PR_SET_NAME, "deed", 0, 0, 0), "prctl(PR_SET_NAME)");
}

static void deed(const char *data) {
    tell(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 10 /* CAP_NET_BIND_SERVICE */, 0, 0),
         "prctl(PR_CAP_AMBIENT)");
}
