#include <pthread.h>
#include <sched.h>

#include "deed.h"

DEED("adds a namespace to the flags of a thread", BY_FILTER ELSE("EINVAL", "kernel"))

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
    /* What pthread_create gives, and CLONE_NEWUSER. */
    tell(syscall(SYS_clone, 0x3d0f00 | CLONE_NEWUSER, NULL, NULL, NULL, NULL), "clone");
}
