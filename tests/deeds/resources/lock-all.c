#include <sys/mman.h>

#include "deed.h"

DEED("locks all the memory that it will ever have", BY_FILTER ELSE("EPERM", "rlimits"))

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    tell(mlockall(MCL_FUTURE), "mlockall");
    munlockall();
}
