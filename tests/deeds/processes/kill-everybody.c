#include <signal.h>

#include "deed.h"

DEED("signals every process that it may", BY_FILTER ELSE("ESRCH", "pid"))

static void permitted(const char *data) {
    sigset_t set;
    sigemptyset(&set);
    tell(sigprocmask(SIG_BLOCK, &set, NULL), "sigprocmask");
}

/* Signal 0 asks for the right and sends nothing. */
static void deed(const char *data) {
    tell(kill(-1, 0), "kill");
}
