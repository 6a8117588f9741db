#include "deed.h"

DEED("becomes another user, under a filter that allows it",
     BY("EINVAL", "ids") ELSE("EPERM", "capabilities"),
     UNFILTERED)

static void permitted(const char *data) {
    tell(setresuid(getuid(), -1, -1), "setresuid to what it is");
}

static void deed(const char *data) {
    tell(setresuid(1, 1, 1), "setresuid");
}
