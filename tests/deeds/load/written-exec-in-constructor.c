#include <sys/mman.h>

#include "code.h"
#include "deed.h"

DEED("runs code that it has written in a constructor, when code can be mapped",
     BY_FILTER ELSE("EACCES", "mdwe"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                    MAP_FAILED
                ? errno
                : 0;
#else
    void *at = mmap(NULL, sizeof code, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    error = at == MAP_FAILED ? errno : 0;
    if (error == 0) {
        memcpy(at, code, sizeof code);
        run_code(at);
    }
#endif
}

static void tell_early(const char *what) {
    if (error != 0) {
        stopped(error, "%s", what);
    } else {
        done("%s", what);
    }
}

static void permitted(const char *data) {
    tell_early("mmap of data");
}

static void deed(const char *data) {
    tell_early("code in memory");
}
