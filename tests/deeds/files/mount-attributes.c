#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>

#include "deed.h"

DEED("clears the flags of a mount", BY_KILL("mount_setattr") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    struct mount_attr attributes = {.attr_clr = MOUNT_ATTR_NOEXEC};
    tell(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes),
         "mount_setattr");
}
