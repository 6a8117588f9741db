#include <sys/mman.h>

#include "deed.h"

DEED("takes twenty times the memory that it is granted",
     BY("oom (oom-kill)", "memory") ELSE("ENOMEM", "stand-in"),
     POLICY("{ limits = { cpu = \"10s\" } }"))

static void take(size_t mib) {
    volatile char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        stopped(errno, "mmap of %zu MiB", mib);
        return;
    }
    for (size_t at = 0; at < mib << 20; at += 4096) {
        memory[at] = 1;
    }
    done("%zu MiB", mib);
    munmap((void *)memory, mib << 20);
}

static void permitted(const char *data) {
    take(24);
}

static void deed(const char *data) {
    take(1024);
}
