#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>

#include "deed.h"

DEED("takes a copy of a mount", BY_KILL("open_tree") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    long fd = syscall(SYS_open_tree, AT_FDCWD, "/lib", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    tell(fd, "open_tree");
    close((int)fd);
}
