#include <sys/stat.h>

#include "deed.h"

DEED("gives a file of the host another name",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"),
     DATA("{file}"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    char secret[300];
    const char *name = strrchr(data, '/');
    snprintf(secret, sizeof secret, "%.*s/secret", (int)(name ? name - data : 0), data);
    tell(link(secret, data), "link");
}
