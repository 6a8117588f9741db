#include <sys/mount.h>
#include <sys/stat.h>

#include "deed.h"

DEED("takes a mount out of its root", BY_KILL("umount2") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(umount2("/dev/full", MNT_DETACH), "umount2");
}
