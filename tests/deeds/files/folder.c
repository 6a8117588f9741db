#include <sys/stat.h>

#include "deed.h"

DEED("makes a folder",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"),
     DATA("{file}"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    tell(mkdir(data, 0700), "mkdir");
}
