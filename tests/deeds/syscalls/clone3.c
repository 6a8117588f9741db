#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>

#include "deed.h"

DEED("makes a user namespace by clone3, whose flags lie out of a filter's sight",
     BY("ENOSYS", "seccomp") ELSE("ENOSPC", "ids"))

static void *nothing(void *argument) {
    return argument;
}

static void permitted(const char *data) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, nothing, NULL);
    if (error != 0) {
        stopped(error, "pthread_create");
    } else {
        tell(pthread_join(thread, NULL), "pthread_join");
    }
}

static void deed(const char *data) {
    struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) {
        _exit(0);
    }
    tell(child, "clone3");
}
