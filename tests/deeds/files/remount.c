#include <sys/mount.h>
#include <sys/stat.h>

#include "deed.h"

DEED("makes its root folder writable", BY_KILL("mount") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL), "mount");
}
