#include <fcntl.h>

#include "deed.h"

DEED("writes to its own image", BY_FILTER ELSE("EROFS", "image"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/plugin/plugin.so", O_WRONLY | O_CLOEXEC);
    tell(fd, "open for writing");
    close(fd);
}
