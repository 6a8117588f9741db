#include <sys/prctl.h>

#include "deed.h"

DEED("becomes the parent of orphans", BY_FILTER)

static void permitted(const char *data) {
    tell(prctl(PR_SET_NAME, "deed", 0, 0, 0), "PR_SET_NAME");
}

static void deed(const char *data) {
    tell(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER");
}
