#include <sys/mman.h>
#include <sys/shm.h>

#include "deed.h"

DEED("maps shared memory that can be executed", BY_FILTER ELSE("EACCES", "mdwe"))

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    int id = shmget(IPC_PRIVATE, 4096, 0700);
    void *at = id < 0 ? (void *)-1 : shmat(id, NULL, SHM_EXEC);
    tell(at == (void *)-1 ? -1 : 0, "shmat with SHM_EXEC");
    if (id >= 0) {
        shmctl(id, IPC_RMID, NULL);
    }
}
