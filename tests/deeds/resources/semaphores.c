#include <sys/mman.h>
#include <sys/sem.h>

#include "deed.h"

DEED("makes semaphores that outlive it", BY_FILTER)

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    int id = semget(IPC_PRIVATE, 1, 0600);
    tell(id, "semget");
    if (id >= 0) {
        semctl(id, 0, IPC_RMID);
    }
}
