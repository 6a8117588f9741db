#include <fcntl.h>

#include "deed.h"

DEED("reads the password hashes of the host by a symbolic link that it made in its /tmp",
     BY("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"),
     MANIFEST("requires.tmp = \"1MiB\"") UNFILTERED POLICY("{ limits = { disk = \"1MiB\" } }"))

static void permitted(const char *data) {
    int fd = open("/tmp/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    tell(fd, "a file in /tmp");
    close(fd);
}

static void deed(const char *data) {
    int fd;
    if (symlink("/etc/shadow", "/tmp/shadow") != 0) {
        stopped(errno, "symlink");
        return;
    }
    fd = open("/tmp/shadow", O_RDONLY | O_CLOEXEC);
    tell(fd, "open of the link");
    close(fd);
}
