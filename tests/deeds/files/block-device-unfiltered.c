#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "deed.h"

DEED("makes a disk of the host its own, under a filter that allows it",
     BY("EACCES", "landlock") ELSE_NO_RIGHTS,
     MANIFEST("requires.tmp = \"1MiB\"") UNFILTERED POLICY("{ limits = { disk = \"1MiB\" } }"))

static void permitted(const char *data) {
    int fd = open("/tmp/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    tell(fd, "a file in /tmp");
    close(fd);
}

static void deed(const char *data) {
    tell(mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)), "mknod");
}
