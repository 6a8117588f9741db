#include <sys/stat.h>

#include "deed.h"

DEED("changes its root",
     BY_KILL("pivot_root") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS,
     THROUGH("EBUSY"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(syscall(SYS_pivot_root, "/", "/"), "pivot_root");
}
