#include <fcntl.h>

#include "deed.h"

DEED("writes to its own code by /proc, under a filter that allows it",
     BY("ENOENT", "root") ELSE("EACCES", "landlock"),
     UNFILTERED)

static void permitted(const char *data) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    tell(fd, "open of /dev/null");
    close(fd);
}

static void deed(const char *data) {
    int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    tell(fd, "open of /proc/self/mem");
    close(fd);
}
