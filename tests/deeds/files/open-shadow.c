#include <fcntl.h>

#include "deed.h"

DEED("reads the password hashes of the host",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

/* Tells how many bytes came, not which. */
static void deed(const char *data) {
    char bytes[64];
    int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
    tell(fd < 0 ? -1 : read(fd, bytes, sizeof bytes), "read of /etc/shadow");
    close(fd);
}
