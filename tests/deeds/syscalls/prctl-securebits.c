#include <sys/prctl.h>

#include "deed.h"

DEED("unlocks what exec does to capabilities", BY_FILTER ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    tell(prctl(PR_SET_NAME, "deed", 0, 0, 0), "prctl(PR_SET_NAME)");
}

static void deed(const char *data) {
    tell(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), "prctl(PR_SET_SECUREBITS)");
}
