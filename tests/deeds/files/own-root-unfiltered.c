#include <fcntl.h>

#include "deed.h"

DEED("writes to its root, under a filter that allows it", BY("EROFS", "mounts"), UNFILTERED)

static void permitted(const char *data) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    tell(fd, "open of /dev/null");
    close(fd);
}

static void deed(const char *data) {
    int fd = open("/evil", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    tell(fd, "a file in /");
    close(fd);
}
