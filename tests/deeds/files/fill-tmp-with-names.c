#include <fcntl.h>

#include "deed.h"

DEED("makes files without end in its /tmp, each of which is memory of the kernel",
     BY("ENOSPC", "mounts"),
     MANIFEST("requires.tmp = \"1MiB\"") POLICY("{ limits = { disk = \"1MiB\", cpu = \"10s\" } }"))

static void permitted(const char *data) {
    int fd = open("/tmp/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    tell(fd, "a file in /tmp");
    close(fd);
}

static void deed(const char *data) {
    char path[32];
    for (int i = 0; i < 100000; i++) {
        snprintf(path, sizeof path, "/tmp/%d", i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            stopped(errno, "after %d files", i);
            return;
        }
        close(fd);
    }
    done("100000 files");
}
