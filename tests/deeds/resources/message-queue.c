#include <sys/mman.h>
#include <sys/msg.h>

#include "deed.h"

DEED("makes a message queue that outlives it", BY_FILTER)

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    int id = msgget(IPC_PRIVATE, 0600);
    tell(id, "msgget");
    if (id >= 0) {
        msgctl(id, IPC_RMID, NULL);
    }
}
