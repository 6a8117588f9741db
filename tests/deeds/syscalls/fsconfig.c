#include <sys/stat.h>

#include "deed.h"

DEED("configures a file system", BY_KILL("fsconfig"), THROUGH("EINVAL"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(syscall(SYS_fsconfig, -1, 0, NULL, NULL, 0), "fsconfig");
}
