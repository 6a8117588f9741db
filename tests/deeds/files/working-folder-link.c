#include <fcntl.h>

#include "deed.h"

DEED("goes by the link to its working folder",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/proc/self/cwd/etc/hostname", O_RDONLY | O_CLOEXEC);
    tell(fd, "open by /proc/self/cwd");
    close(fd);
}
