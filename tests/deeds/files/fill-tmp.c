#include <fcntl.h>

#include "deed.h"

DEED("fills its /tmp, which is memory of the host",
     BY("ENOSPC", "mounts"),
     MANIFEST("requires.tmp = \"1MiB\"") POLICY("{ limits = { disk = \"1MiB\" } }"))

static ssize_t write_file(const char *path, const char *bytes, size_t length) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ssize_t written = fd < 0 ? -1 : write(fd, bytes, length);
    if (fd >= 0) {
        close(fd);
    }
    /* A short write says nothing yet: the next one does. */
    return written;
}

static void permitted(const char *data) {
    tell(write_file("/tmp/small", "x", 1), "a small file");
}

static void deed(const char *data) {
    static char chunk[64 << 10];
    char path[32];
    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof path, "/tmp/%d", i);
        if (write_file(path, chunk, sizeof chunk) < 0) {
            stopped(errno, "after %d files of 64 KiB", i);
            return;
        }
    }
    done("4 MiB");
}
