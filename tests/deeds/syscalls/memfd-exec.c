#include <sys/mman.h>

#include "code.h"
#include "deed.h"

DEED("runs code from a file that only memory holds", BY_FILTER ELSE("SIGXFSZ", "rlimits"))

static void permitted(const char *data) {
    tell(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
             ? -1 : 0, "mmap of data");
}

static void deed(const char *data) {
    void *at;
    int fd = memfd_create("deed", MFD_CLOEXEC);
    if (fd < 0 || write(fd, code, sizeof code) < 0) {
        stopped(errno, "a memfd");
        return;
    }
    at = mmap(NULL, sizeof code, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
        stopped(errno, "mmap of the memfd");
    } else {
        done("code gave %d", run_code(at));
    }
    close(fd);
}
