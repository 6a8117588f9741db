#include <fcntl.h>

#include "deed.h"

DEED("opens the memory of the supervisor",
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
    snprintf(path, sizeof path, "/proc/%s/mem", data);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    tell(fd, "open of its memory");
    close(fd);
}
