#include <sys/mman.h>

#include "deed.h"

DEED("locks memory that can then not be reclaimed", BY_FILTER ELSE("EPERM", "rlimits"))

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap");
}

static void deed(const char *data) {
    static char page[4096] __attribute__((aligned(4096)));
    tell(mlock(page, sizeof page), "mlock");
}
