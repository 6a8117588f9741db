#include <sys/mount.h>
#include <sys/stat.h>

#include "deed.h"

DEED("lays a file system of its own over /tmp",
     BY_KILL("mount") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat");
}

static void deed(const char *data) {
    tell(mount("none", "/tmp", "tmpfs", 0, NULL), "mount");
}
