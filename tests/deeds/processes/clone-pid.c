#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "deed.h"

DEED("makes a process in a pid namespace of its own", BY_FILTER ELSE("EPERM", "capabilities"))

static void *run(void *nothing) {
    return nothing;
}

static void permitted(const char *data) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, NULL);
    errno = error;
    tell(error ? -1 : pthread_join(thread, NULL), "a thread");
}

static void deed(const char *data) {
    long child = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0);
    if (child == 0) {
        _exit(0);
    }
    tell(child, "clone");
    if (child > 0) {
        waitpid((pid_t)child, NULL, 0);
    }
}
