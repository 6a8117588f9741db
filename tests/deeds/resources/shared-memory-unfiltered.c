#include <sys/ipc.h>
#include <sys/shm.h>

#include "deed.h"

DEED("takes memory that no process has mapped, under a filter that allows it",
     BY("oom (oom-kill)", "memory") ELSE("ENOMEM", "stand-in"),
     UNFILTERED POLICY("{ limits = { cpu = \"10s\" } }"))

static void permitted(const char *data) {
    int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    tell(segment, "a small segment");
    shmctl(segment, IPC_RMID, NULL);
}

static void deed(const char *data) {
    int segment = shmget(IPC_PRIVATE, 1 << 30, IPC_CREAT | 0600);
    char *at = segment < 0 ? (char *)-1 : shmat(segment, NULL, 0);
    if (at == (char *)-1) {
        stopped(errno, "shared memory");
        return;
    }
    shmctl(segment, IPC_RMID, NULL);
    for (size_t i = 0; i < 1 << 30; i += 4096) {
        at[i] = 1;
    }
    done("1 GiB");
}
