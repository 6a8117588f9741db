#include <sys/mman.h>

#include "deed.h"

DEED("takes five times its memory in a constructor",
     BY("oom (oom-kill)", "memory") ELSE("ENOMEM", "stand-in"),
     POLICY("{ limits = { cpu = \"10s\" } }"))

static int error = -1;

static int take(size_t mib) {
    volatile char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return errno;
    }
    for (size_t at = 0; at < mib << 20; at += 4096) {
        memory[at] = 1;
    }
    munmap((void *)memory, mib << 20);
    return 0;
}

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = take(24);
#else
    error = take(256);
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
    tell_early("24 MiB");
}

static void deed(const char *data) {
    tell_early("256 MiB");
}
