#include <fcntl.h>

#include "deed.h"

DEED("writes to its own image, under a filter that allows it", BY("EROFS", "image"), UNFILTERED)

static void permitted(const char *data) {
    int fd = open("/plugin/plugin.so", O_RDONLY | O_CLOEXEC);
    tell(fd, "open of its image for reading");
    close(fd);
}

static void deed(const char *data) {
    int fd = open("/plugin/plugin.so", O_RDWR | O_CLOEXEC);
    tell(fd, "open of its image");
    close(fd);
}
