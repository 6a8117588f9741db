#include <fcntl.h>

#include "deed.h"

DEED("climbs out of its folder by two dots",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/plugin/../../../../etc/hostname", O_RDONLY | O_CLOEXEC);
    tell(fd, "open of a file above");
    close(fd);
}
