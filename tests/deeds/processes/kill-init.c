#include <signal.h>

#include "deed.h"

DEED("reaches for process 1 of its namespace", BY_FILTER ELSE("EPERM", "landlock-scopes"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(kill(1, 0), "kill of process 1 with signal 0");
}
