#include <sys/stat.h>

#include "deed.h"

DEED("changes its working folder", BY_FILTER)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(chdir("/lib"), "chdir");
}
