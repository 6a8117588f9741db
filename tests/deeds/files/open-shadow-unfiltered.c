#include <fcntl.h>

#include "deed.h"

DEED("reads the password hashes of the host, under a filter that allows it",
     BY("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"),
     UNFILTERED)

static void permitted(const char *data) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    tell(fd, "open of /dev/null");
    close(fd);
}

static void deed(const char *data) {
    int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
    tell(fd, "open of /etc/shadow");
    close(fd);
}
