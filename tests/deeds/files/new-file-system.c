#include <linux/mount.h>
#include <sys/stat.h>

#include "deed.h"

DEED("makes a file system by the new calls", BY_KILL("fsopen") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    long fd = syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    tell(fd, "fsopen");
    close((int)fd);
}
