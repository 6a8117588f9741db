#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "deed.h"

DEED("makes a process in a user namespace of its own, under a filter that allows it",
     BY_FILTER ELSE("ENOSPC", "ids"),
     UNFILTERED)

static void permitted(const char *data) {
    long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        _exit(0);
    }
    tell(child < 0 ? -1 : waitpid((pid_t)child, NULL, 0), "clone");
}

static void deed(const char *data) {
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        _exit(0);
    }
    tell(child, "clone");
}
