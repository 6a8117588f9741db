#include <sys/mman.h>

#include "deed.h"

DEED("says on which node its memory lies", BY_FILTER)

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    tell(syscall(SYS_set_mempolicy, 1, NULL, 0), "set_mempolicy");
}
