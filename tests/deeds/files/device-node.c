#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "deed.h"

DEED("makes a device of its own",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids")
     ELSE("EPERM", "capabilities"),
     DATA("{file}"))

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "no device\n", 10), "write to stdout");
}

static void deed(const char *data) {
    tell(mknod(data, S_IFCHR | 0600, makedev(1, 1)), "mknod");
}
