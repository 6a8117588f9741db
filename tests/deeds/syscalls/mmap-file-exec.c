#include <sys/mman.h>

#include "deed.h"

DEED("maps a file executable once it serves", BY_FILTER ELSE("EPERM", "mounts"))

static void permitted(const char *data) {
    tell(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
             ? -1 : 0, "mmap of data");
}

static void deed(const char *data) {
    tell(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, STDIN_FILENO, 0) == MAP_FAILED
             ? -1 : 0,
         "mmap of stdin");
}
