#include <sys/prctl.h>

#include "deed.h"

DEED("gives up that written memory never becomes code", BY_FILTER ELSE("EPERM", "mdwe"))

static void permitted(const char *data) {
    tell(prctl(PR_SET_NAME, "deed", 0, 0, 0), "prctl(PR_SET_NAME)");
}

static void deed(const char *data) {
    tell(prctl(65 /* PR_SET_MDWE */, 0, 0, 0, 0), "prctl(PR_SET_MDWE)");
}
