#include <sys/shm.h>

#include "code.h"
#include "deed.h"

DEED("runs code from a segment of shared memory, under a filter that allows it",
     BY("EACCES", "mdwe"),
     UNFILTERED)

static void permitted(const char *data) {
    int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    tell(segment, "a segment");
    shmctl(segment, IPC_RMID, NULL);
}

static void deed(const char *data) {
    void *at;
    int segment = shmget(IPC_PRIVATE, sizeof code, IPC_CREAT | 0700);
    if (segment < 0) {
        stopped(EIO, "shmget");
        return;
    }
    at = shmat(segment, NULL, SHM_EXEC);
    shmctl(segment, IPC_RMID, NULL);
    if (at == (void *)-1) {
        stopped(errno, "shmat");
        return;
    }
    memcpy(at, code, sizeof code);
    done("code gave %d", run_code(at));
}
