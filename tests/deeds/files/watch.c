#include <sys/inotify.h>

#include "deed.h"

DEED("watches what others do with files", BY_FILTER)

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = inotify_init1(IN_CLOEXEC);
    tell(fd, "inotify_init1");
    close(fd);
}
