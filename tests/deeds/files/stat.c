#include <sys/stat.h>

#include "deed.h"

DEED("looks at a file of the host", BY_FILTER ELSE("ENOENT", "root"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    struct stat status;
    tell(stat("/etc/hostname", &status), "stat");
}
