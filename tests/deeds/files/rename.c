#include <stdio.h>
#include <sys/stat.h>

#include "deed.h"

DEED("moves a file of the host",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"),
     DATA("{secret}"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    char other[256];
    snprintf(other, sizeof other, "%s.other", data);
    tell(rename(data, other), "rename");
}
