#include <fcntl.h>

#include "deed.h"

DEED("climbs out of its folder by two dots", BY_FILTER ELSE("ENOENT", "root"))

static void permitted(const char *data) {
    char byte;
    (void)data;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/plugin/../../../../etc/hostname", O_RDONLY | O_CLOEXEC);
    (void)data;
    tell(fd, "open of a file above");
    close(fd);
}
