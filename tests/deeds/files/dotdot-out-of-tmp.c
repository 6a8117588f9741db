#include <fcntl.h>

#include "deed.h"

DEED("climbs out of its /tmp by two dots",
     BY("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"),
     MANIFEST("requires.tmp = \"1MiB\"") POLICY("{ limits = { disk = \"1MiB\" } }"))

static void permitted(const char *data) {
    int fd = open("/tmp/../tmp/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    tell(fd, "a file in /tmp");
    close(fd);
}

static void deed(const char *data) {
    int fd = open("/tmp/../../../../etc/shadow", O_RDONLY | O_CLOEXEC);
    tell(fd, "open upwards");
    close(fd);
}
