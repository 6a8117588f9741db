#include "deed.h"

#ifdef TWIN
#define ASKED MANIFEST("limits.heap = \"8MiB\"")
#else
#define ASKED MANIFEST("limits.heap = \"512GiB\"")
#endif

DEED("asks for more memory than policy gives", BY("refused", "grants"), SAYS("limits.heap") ASKED)

static void permitted(const char *data) {
    done("it asks for less");
}

static void deed(const char *data) {
    done("it was granted");
}
