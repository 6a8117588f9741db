#include <sys/mman.h>

#include "code.h"
#include "deed.h"

DEED("runs code that it has written to memory, under a filter that allows it",
     BY("EACCES", "mdwe"),
     UNFILTERED)

static void permitted(const char *data) {
    tell(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
             ? -1
             : 0,
         "mmap of data");
}

static void deed(const char *data) {
    void *at = mmap(NULL, sizeof code, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        stopped(errno, "mmap");
        return;
    }
    memcpy(at, code, sizeof code);
    done("code gave %d", run_code(at));
}
