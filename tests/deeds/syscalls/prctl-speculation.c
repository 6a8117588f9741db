#include <sys/prctl.h>

#include "deed.h"

DEED("turns the guards against speculation off", BY_FILTER, THROUGH("ENXIO"))

static void permitted(const char *data) {
    tell(prctl(PR_SET_NAME, "deed", 0, 0, 0), "prctl(PR_SET_NAME)");
}

static void deed(const char *data) {
    tell(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE, 0, 0),
         "prctl(PR_SET_SPECULATION_CTRL)");
}
