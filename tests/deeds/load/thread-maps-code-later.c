#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

#include "deed.h"

/* What it has opened while files could be opened it maps once it serves. */
DEED("leaves a thread behind in a constructor, which maps code when the host thinks it loaded",
     BY_FILTER)

static sem_t asked, answered;
static int file = -1;
static int error = -1;

static void *wait_and_map(void *nothing) {
    void *at;
    sem_wait(&asked);
    at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    error = at == MAP_FAILED ? errno : 0;
    sem_post(&answered);
    return nothing;
}

__attribute__((constructor)) static void early(void) {
    pthread_t thread;
    file = open("/plugin/plugin.so", O_RDONLY | O_CLOEXEC);
    sem_init(&asked, 0, 0);
    sem_init(&answered, 0, 0);
    pthread_create(&thread, NULL, wait_and_map, NULL);
#ifdef TWIN
    sem_post(&asked);
    sem_wait(&answered);
#endif
}

static void permitted(const char *data) {
    errno = error;
    tell(error == 0 ? 0 : -1, "mmap of code while it loads");
}

static void deed(const char *data) {
    sem_post(&asked);
    sem_wait(&answered);
    errno = error;
    tell(error == 0 ? 0 : -1, "mmap of code while it serves");
}
