#include <pthread.h>

#include "deed.h"

DEED("starts a thousand threads in a constructor",
     BY("EAGAIN (threads)", "pids") ELSE("EAGAIN", "stand-in"),
     POLICY("{ limits = { heap = \"1GiB\", cpu = \"10s\" } }"))

static int error = -1;

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *idle(void *nothing) {
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return nothing;
}

static void start(int wanted) {
    pthread_t all[1000];
    pthread_attr_t small;
    int made = 0;
    error = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    pthread_mutex_lock(&gate);
    while (made < wanted && (error = pthread_create(&all[made], &small, idle, NULL)) == 0) {
        made++;
    }
    pthread_mutex_unlock(&gate);
    while (made > 0) {
        pthread_join(all[--made], NULL);
    }
    pthread_attr_destroy(&small);
}

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    start(3);
#else
    start(1000);
#endif
}

static void tell_early(const char *what) {
    if (error != 0) {
        stopped(error, "%s", what);
    } else {
        done("%s", what);
    }
}

static void permitted(const char *data) {
    tell_early("3 threads");
}

static void deed(const char *data) {
    tell_early("1000 threads");
}
