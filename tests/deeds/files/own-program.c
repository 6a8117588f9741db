#include <fcntl.h>

#include "deed.h"

DEED("opens the program that it runs in", BY_FILTER ELSE("ENOENT", "root"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    tell(fd, "open of /proc/self/exe");
    close(fd);
}
