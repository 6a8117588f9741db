#include <sys/mman.h>

#include "deed.h"

/* Without huge pages in the host's pool whoever may ask gets ENOMEM. */
DEED("takes huge pages, which no limit on memory counts", BY_FILTER, THROUGH("ENOMEM"))

static void permitted(const char *data) {
    tell(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
             ? -1 : 0, "mmap of data");
}

static void deed(const char *data) {
    void *at = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    tell(at == MAP_FAILED ? -1 : 0, "mmap(MAP_HUGETLB)");
}
