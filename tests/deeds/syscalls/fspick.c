#include <fcntl.h>
#include <sys/stat.h>

#include "deed.h"

DEED("reconfigures the file system of its root", BY_KILL("fspick") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(syscall(SYS_fspick, AT_FDCWD, "/", 0), "fspick");
}
