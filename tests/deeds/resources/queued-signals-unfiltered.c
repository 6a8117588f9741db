#include <signal.h>

#include "deed.h"

DEED("queues signals without end, under a filter that allows it",
     BY("EAGAIN", "rlimits"),
     UNFILTERED)

static void queue(int wanted) {
    sigset_t blocked;
    int made = 0;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    while (made < wanted && sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = made}) == 0) {
        made++;
    }
    if (made == wanted) {
        done("%d signals", made);
    } else {
        stopped(errno, "sigqueue after %d", made);
    }
}

static void permitted(const char *data) {
    queue(3);
}

static void deed(const char *data) {
    queue(10000);
}
