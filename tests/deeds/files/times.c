#include <fcntl.h>
#include <sys/stat.h>

#include "deed.h"

DEED("changes when a file of the host was written",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "ids"),
     DATA("{secret}"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(utimensat(AT_FDCWD, data, NULL, 0), "utimensat");
}
