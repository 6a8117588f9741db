#include <linux/aio_abi.h>
#include <sys/mman.h>

#include "deed.h"

DEED("makes a context of asynchronous I/O, whose pages no limit counts", BY_FILTER)

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    aio_context_t context = 0;
    long result = syscall(SYS_io_setup, 128, &context);
    tell(result, "io_setup");
    if (result == 0) {
        syscall(SYS_io_destroy, context);
    }
}
