#include <pthread.h>

#include "deed.h"

/* A thread takes some 25 kB of the kernel's: the limit on memory must not be met first. */
DEED("starts thousands of threads",
     BY("EAGAIN (threads)", "pids") ELSE("EAGAIN", "stand-in"),
     POLICY("{ limits = { heap = \"1GiB\", cpu = \"10s\" } }"))

#define MOST 10000

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *idle(void *nothing) {
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return nothing;
}

static void start(long wanted) {
    static pthread_t all[MOST];
    pthread_attr_t small;
    long made = 0;
    int error = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    pthread_mutex_lock(&gate);
    while (made < wanted && (error = pthread_create(&all[made], &small, idle, NULL)) == 0) {
        made++;
    }
    if (made == wanted) {
        done("%ld threads", made);
    } else {
        stopped(error, "pthread_create after %ld threads", made);
    }
    pthread_mutex_unlock(&gate);
    while (made > 0) {
        pthread_join(all[--made], NULL);
    }
    pthread_attr_destroy(&small);
}

static void permitted(const char *data) {
    start(3);
}

static void deed(const char *data) {
    start(MOST);
}
