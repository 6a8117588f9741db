#include <fcntl.h>

#include "deed.h"

DEED("writes to the libraries that its worker runs with", BY_FILTER ELSE("EROFS", "image"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/lib/libc.so.6", O_WRONLY | O_CLOEXEC);
    tell(fd, "open for writing");
    close(fd);
}
