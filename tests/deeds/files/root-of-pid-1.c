#include <fcntl.h>

#include "deed.h"

DEED("goes by the root folder of process 1",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "ids"))

static void permitted(const char *data) {
    char byte;
    (void)data;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/proc/1/root/etc/hostname", O_RDONLY | O_CLOEXEC);
    (void)data;
    tell(fd, "open by /proc/1/root");
    close(fd);
}
