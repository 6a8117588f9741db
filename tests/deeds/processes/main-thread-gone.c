#include <pthread.h>
#include <time.h>

#include "deed.h"

DEED("ends the thread that serves calls, and lives on in another",
     BY("deadline (deadline)", "deadline"),
     WITHIN("500ms") THROUGH("exit 0"))

static void *live_on(void *nothing) {
    struct timespec pause = {.tv_sec = 600};
    nanosleep(&pause, NULL);
    syscall(SYS_exit, 0);
    return nothing;
}

static void *end(void *nothing) {
    pthread_exit(nothing);
}

static void permitted(const char *data) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, end, NULL);
    errno = error;
    tell(error ? -1 : pthread_join(thread, NULL), "a thread that ends");
}

static void deed(const char *data) {
    pthread_t thread;
    pthread_create(&thread, NULL, live_on, NULL);
    syscall(SYS_exit, 0);
}
