#include <signal.h>

#include "deed.h"

DEED("signals a process of the host by its pid, under a filter that allows it",
     BY("ESRCH", "pid") ELSE("EPERM", "landlock-scopes") ELSE("EPERM", "ids"),
     DATA("{pid}") UNFILTERED)

static void permitted(const char *data) {
    tell(kill(getpid(), 0), "kill of itself with signal 0");
}

static void deed(const char *data) {
    tell(kill((pid_t)number(data), 0), "kill");
}
