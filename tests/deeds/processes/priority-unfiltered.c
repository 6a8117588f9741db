#include <sys/resource.h>

#include "deed.h"

DEED("takes precedence over everybody, under a filter that allows it",
     BY("EACCES", "ids") ELSE("EACCES", "capabilities"),
     UNFILTERED)

static void permitted(const char *data) {
    tell(setpriority(PRIO_PROCESS, 0, 5), "setpriority to be nice");
}

static void deed(const char *data) {
    tell(setpriority(PRIO_PROCESS, 0, -5), "setpriority");
}
