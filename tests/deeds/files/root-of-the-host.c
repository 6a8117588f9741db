#include <fcntl.h>

#include "deed.h"

DEED("goes by the root folder of the supervisor",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids")
     ELSE("EACCES", "capabilities"),
     DATA("{pid}"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    char path[64];
    int fd;
    snprintf(path, sizeof path, "/proc/%.20s/root/etc/hostname", data);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    tell(fd, "open by the supervisor's root");
    close(fd);
}
