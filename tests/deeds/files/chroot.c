#include <sys/stat.h>

#include "deed.h"

DEED("changes its root folder", BY_KILL("chroot") ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(chroot("/lib"), "chroot");
}
