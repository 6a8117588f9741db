#include <sys/mman.h>

#include "deed.h"

DEED("takes memory that the kernel itself can't look at", BY_FILTER)

static void permitted(const char *data) {
    tell(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
             ? -1 : 0, "mmap of data");
}

static void deed(const char *data) {
    tell(syscall(SYS_memfd_secret, 0), "memfd_secret");
}
