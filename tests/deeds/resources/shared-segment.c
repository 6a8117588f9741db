#include <sys/mman.h>
#include <sys/shm.h>

#include "deed.h"

DEED("makes memory that outlives it", BY_FILTER)

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    int id = shmget(IPC_PRIVATE, 4096, 0600);
    tell(id, "shmget");
    if (id >= 0) {
        shmctl(id, IPC_RMID, NULL);
    }
}
