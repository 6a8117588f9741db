#include <sys/mman.h>

#include "deed.h"

DEED("locks all its memory, under a filter that allows it", BY("EPERM", "rlimits"), UNFILTERED)

static void permitted(const char *data) {
    tell(munlockall(), "munlockall");
}

static void deed(const char *data) {
    tell(mlockall(MCL_CURRENT), "mlockall");
}
