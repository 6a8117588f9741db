#include <sys/mman.h>

#include "deed.h"

DEED("keeps data in a file that only memory holds", BY_FILTER)

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    int fd = memfd_create("deed", MFD_CLOEXEC);
    tell(fd, "memfd_create");
    close(fd);
}
