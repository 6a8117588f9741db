#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "deed.h"

DEED("forks children without end, under a filter that allows it",
     BY("EAGAIN (threads)", "pids") ELSE("EAGAIN", "stand-in"),
     UNFILTERED)

/* They idle, and die with their parent or after seconds. */
static void fork_children(int wanted) {
    pid_t children[64];
    int made = 0;
    while (made < wanted && (children[made] = fork()) >= 0) {
        if (children[made] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            sleep(5);
            _exit(0);
        }
        made++;
    }
    if (made == wanted) {
        done("%d children", made);
    } else {
        stopped(errno, "fork after %d children", made);
    }
    while (made > 0) {
        made--;
        kill(children[made], SIGKILL);
        waitpid(children[made], NULL, 0);
    }
}

static void permitted(const char *data) {
    fork_children(2);
}

static void deed(const char *data) {
    fork_children(64);
}
