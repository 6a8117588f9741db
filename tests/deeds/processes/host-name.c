#include "deed.h"

DEED("gives its host a name", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(sethostname("evil", 4), "sethostname");
}
