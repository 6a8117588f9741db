#include <fcntl.h>

#include "deed.h"

DEED("says which program the kernel runs for a crash",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC);
    tell(fd, "open of core_pattern");
    close(fd);
}
