#include <sys/mman.h>

#include "code.h"
#include "deed.h"

DEED("makes memory executable that it has written, under a filter that allows it",
     BY("EACCES", "mdwe"),
     UNFILTERED)

static void permitted(const char *data) {
    long page = sysconf(_SC_PAGESIZE);
    void *at = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tell(at == MAP_FAILED ? -1 : mprotect(at, (size_t)page, PROT_READ), "mprotect");
}

static void deed(const char *data) {
    long page = sysconf(_SC_PAGESIZE);
    void *at = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        stopped(errno, "mmap");
        return;
    }
    memcpy(at, code, sizeof code);
    if (mprotect(at, (size_t)page, PROT_READ | PROT_EXEC) != 0) {
        stopped(errno, "mprotect");
    } else {
        done("code gave %d", run_code(at));
    }
}
