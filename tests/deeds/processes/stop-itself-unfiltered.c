#include <signal.h>

#include "deed.h"

DEED("stops itself in the middle of a call, under a filter that allows it",
     BY("deadline (deadline)", "deadline"),
     WITHIN("300ms") UNFILTERED)

static void permitted(const char *data) {
    tell(kill(getpid(), SIGCONT), "SIGCONT");
}

static void deed(const char *data) {
    tell(kill(getpid(), SIGSTOP), "SIGSTOP");
}
