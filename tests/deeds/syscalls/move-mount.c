#include <fcntl.h>
#include <sys/stat.h>

#include "deed.h"

DEED("moves a mount over its root", BY_KILL("move_mount") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(syscall(SYS_move_mount, AT_FDCWD, "/lib", AT_FDCWD, "/dev", 0), "move_mount");
}
