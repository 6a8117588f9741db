#include <fcntl.h>

#include "deed.h"

DEED("gives the kernel orders by the key that administrators have",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "ids"))

static void permitted(const char *data) {
    char byte;
    (void)data;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
    (void)data;
    tell(fd, "open of sysrq-trigger");
    close(fd);
}
