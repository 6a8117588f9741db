#include <fcntl.h>

#include "deed.h"

DEED("opens a folder of its root by number, to walk from there", BY_FILTER)

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    tell(fd, "open of /");
    close(fd);
}
