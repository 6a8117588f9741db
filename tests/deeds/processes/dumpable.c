#include <sys/prctl.h>

#include "deed.h"

DEED("makes its memory readable for others", BY_FILTER)

static void permitted(const char *data) {
    tell(prctl(PR_SET_NAME, "deed", 0, 0, 0), "PR_SET_NAME");
}

static void deed(const char *data) {
    tell(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "PR_SET_DUMPABLE");
}
