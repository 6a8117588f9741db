#include "deed.h"

DEED("asks where the program lies that it runs in", BY_FILTER ELSE("ENOENT", "root"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    char path[256];
    tell(readlink("/proc/self/exe", path, sizeof path), "readlink");
}
