#include <fcntl.h>
#include <linux/openat2.h>

#include "deed.h"

DEED("opens a file by the newest of the calls",
     BY("ENOSYS", "seccomp") ELSE("ENOENT", "root") ELSE("EACCES", "landlock"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
    long fd = syscall(SYS_openat2, AT_FDCWD, "/etc/hostname", &how, sizeof how);
    tell(fd, "openat2");
    close((int)fd);
}
