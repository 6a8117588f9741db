#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "deed.h"

DEED("forks children without end", BY_FILTER ELSE("EAGAIN (threads)", "pids"))

#define MOST 64

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

/* The children idle, and die with their parent or after seconds. */
static void deed(const char *data) {
    pid_t children[MOST];
    long made = 0;
    while (made < MOST && (children[made] = fork()) >= 0) {
        if (children[made] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            sleep(5);
            _exit(0);
        }
        made++;
    }
    if (made == MOST) {
        done("%ld children", made);
    } else {
        stopped(errno, "fork after %ld children", made);
    }
    while (made > 0) {
        made--;
        kill(children[made], SIGKILL);
        waitpid(children[made], NULL, 0);
    }
}
