/* Takes what the host has: processes, memory, threads, file descriptors, time. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "deeds.h"

enum { MOST_CHILDREN = 200, MOST_THREADS = 10000, MOST_FDS = 100000, MOST_SECONDS = 30 };

static long at_most(long value, long most) { return value < most ? value : most; }

_Noreturn static void idle_child(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sleep(5);
    _exit(0);
}

/* Forks children that idle, as many as `data` says. */
static void fork_bomb(struct report *report, const char *data) {
    long wanted = at_most(number(data, MOST_CHILDREN), MOST_CHILDREN);
    pid_t children[MOST_CHILDREN];
    long made = 0;
    while (made < wanted && (children[made] = fork()) >= 0) {
        if (children[made] == 0) {
            idle_child();
        }
        made++;
    }
    if (made == wanted) {
        done(report, "%ld children", made);
    } else {
        stopped(report, errno, "fork after %ld children", made);
    }
    while (made > 0) {
        made--;
        kill(children[made], SIGKILL);
        waitpid(children[made], NULL, 0);
    }
}

/* Takes as many MiB of memory as `data` says, and touches every page. */
static void allocate(struct report *report, const char *data) {
    size_t mib = (size_t)at_most(number(data, 1024), 1024);
    volatile char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        stopped(report, errno, "mmap of %zu MiB", mib);
        return;
    }
    for (size_t at = 0; at < mib << 20; at += 4096) {
        memory[at] = 1;
    }
    done(report, "%zu MiB", mib);
    munmap((void *)memory, mib << 20);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *idle_thread(void *nothing) {
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return nothing;
}

/* Has as many threads at a time as `data` says. */
static void threads(struct report *report, const char *data) {
    long wanted = at_most(number(data, MOST_THREADS), MOST_THREADS);
    long made = 0;
    int error = 0;
    pthread_attr_t small;
    static pthread_t all[MOST_THREADS];
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    pthread_mutex_lock(&gate);
    while (made < wanted && (error = pthread_create(&all[made], &small, idle_thread, NULL)) == 0) {
        made++;
    }
    if (made == wanted) {
        done(report, "%ld threads", made);
    } else {
        stopped(report, error, "pthread_create after %ld threads", made);
    }
    pthread_mutex_unlock(&gate);
    while (made > 0) {
        pthread_join(all[--made], NULL);
    }
    pthread_attr_destroy(&small);
}

/* Has as many more file descriptors at a time as `data` says. */
static void fds(struct report *report, const char *data) {
    long wanted = at_most(number(data, MOST_FDS), MOST_FDS);
    long made = 0;
    static int all[MOST_FDS];
    while (made < wanted && (all[made] = dup(STDIN_FILENO)) >= 0) {
        made++;
    }
    if (made == wanted) {
        done(report, "%ld file descriptors", made);
    } else {
        stopped(report, errno, "dup after %ld file descriptors", made);
    }
    while (made > 0) {
        close(all[--made]);
    }
}

static double monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Burns as many seconds of CPU time as `data` says, whatever becomes of its call, and ends
   after MOST_SECONDS however little it gets. */
static void spin(struct report *report, const char *data) {
    long seconds = at_most(number(data, MOST_SECONDS), MOST_SECONDS);
    double last = monotonic_seconds() + MOST_SECONDS;
    clock_t end = clock() + seconds * CLOCKS_PER_SEC;
    while (clock() < end && monotonic_seconds() < last) {
    }
    done(report, "%ld seconds", seconds);
}

const struct deed exhausting[] = {
    {"fork-bomb", fork_bomb}, {"allocate", allocate}, {"threads", threads},
    {"fds", fds},             {"spin", spin},         {NULL, NULL},
};
