#include <sys/stat.h>

#include "deed.h"

DEED("gives a file of the host to somebody else",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "ids") ELSE("EPERM", "capabilities"),
     DATA("{secret}"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(chown(data, 1, 1), "chown");
}
