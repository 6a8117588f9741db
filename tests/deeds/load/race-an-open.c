#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "deed.h"
#include "spin.h"

DEED("rewrites a path while the call that opens it waits for an answer",
     BY("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"),
     POLICY("{ limits = { cpu = \"10s\" } }"))

static int error = -1;

static char path[16] = "/dev/null";
static volatile int over;
static struct stat status UNUSED_;

UNUSED_ static void *rewrite(void *nothing) {
    while (!over) {
        strcpy(path, "/etc/shadow");
        __asm__ volatile("" ::: "memory");
        strcpy(path, "/dev/null");
        __asm__ volatile("" ::: "memory");
    }
    return nothing;
}

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
#else
    pthread_t thread;
    int fd = -1;
    double end = monotonic_seconds() + 1;
    pthread_create(&thread, NULL, rewrite, NULL);
    while (monotonic_seconds() < end && fd < 0 && error != EACCES) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        error = fd < 0 ? errno : 0;
        if (fd >= 0 && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode)) {
            /* The path as it was at first. */
            close(fd);
            fd = -1;
            error = ENOENT;
        }
    }
    over = 1;
    pthread_join(thread, NULL);
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
    tell_early("open /dev/null");
}

static void deed(const char *data) {
    tell_early("open of a path that changes");
}
