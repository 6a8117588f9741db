#include <fcntl.h>

#include "deed.h"

DEED("creates a file on the host",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"),
     DATA("{file}"))

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "created nothing\n", 16), "write to stdout");
}

static void deed(const char *data) {
    int fd = open(data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    tell(fd, "creation of a file");
    close(fd);
}
