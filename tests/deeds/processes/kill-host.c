#include <signal.h>

#include "deed.h"

DEED("signals a process of the host by its pid",
     BY_FILTER ELSE("ESRCH", "pid") ELSE("EPERM", "landlock-scopes") ELSE("EPERM", "ids"),
     DATA("{pid}"))

static void permitted(const char *data) {
    sigset_t set;
    sigemptyset(&set);
    tell(sigprocmask(SIG_BLOCK, &set, NULL), "sigprocmask");
}

/* Signal 0 asks for the right and sends nothing. */
static void deed(const char *data) {
    tell(kill((pid_t)number(data), 0), "kill");
}
