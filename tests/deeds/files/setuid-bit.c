#include <sys/stat.h>

#include "deed.h"

DEED("makes a file of the host run as its owner",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "ids"),
     DATA("{secret}"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(chmod(data, 04755), "chmod");
}
