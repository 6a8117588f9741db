#include <sys/stat.h>

#include "deed.h"

DEED("finds out whether a file of the host is there", BY_FILTER ELSE("ENOENT", "root"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(access("/etc/hostname", F_OK), "access");
}
