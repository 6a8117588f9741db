#include <signal.h>

#include "deed.h"

/* Signal 0 asks for the right and sends nothing. */
DEED("signals every process that it may in a constructor", BY_FILTER ELSE("ESRCH", "pid"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    sigset_t set;
    sigemptyset(&set);
    error = sigprocmask(SIG_BLOCK, &set, NULL) != 0 ? errno : 0;
#else
    error = kill(-1, 0) != 0 ? errno : 0;
#endif
}

static void tell_early(const char *what) {
    if (error != 0) {
        stopped(error, "%s", what);
    } else {
        done("%s", what);
    }
}

static void permitted(const char *data) {
    tell_early("sigprocmask");
}

static void deed(const char *data) {
    tell_early("kill");
}
