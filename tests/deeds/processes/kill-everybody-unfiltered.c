#include <signal.h>

#include "deed.h"

/* Signal 0 asks for the right and sends nothing. */
DEED("signals every process that it may, under a filter that allows it",
     BY("ESRCH", "pid"),
     UNFILTERED)

static void permitted(const char *data) {
    tell(kill(getpid(), 0), "kill of itself with signal 0");
}

static void deed(const char *data) {
    tell(kill(-1, 0), "kill");
}
