#include <fcntl.h>

#include "deed.h"

DEED("creates a file in its root folder", BY_FILTER ELSE("EROFS", "image"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/evil", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    tell(fd, "creation of a file");
    close(fd);
}
