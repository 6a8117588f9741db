#include <sys/mman.h>

#include "deed.h"

DEED("lets the kernel share its pages with those of others, and times them", BY_FILTER)

static void permitted(const char *data) {
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tell(madvise(at, 4096, MADV_DONTNEED), "madvise(MADV_DONTNEED)");
}

static void deed(const char *data) {
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tell(madvise(at, 4096, MADV_MERGEABLE), "madvise(MADV_MERGEABLE)");
}
