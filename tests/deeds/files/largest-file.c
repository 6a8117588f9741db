#include <fcntl.h>

#include "deed.h"

DEED("makes a file larger than any that it may have",
     BY("SIGXFSZ", "rlimits"),
     MANIFEST("requires.tmp = \"1MiB\"") POLICY("{ limits = { disk = \"1MiB\" } }"))

static void permitted(const char *data) {
    int fd = open("/tmp/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    tell(fd < 0 ? -1 : ftruncate(fd, 4096), "ftruncate to 4 KiB");
}

static void deed(const char *data) {
    int fd = open("/tmp/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    tell(fd < 0 ? -1 : ftruncate(fd, 1L << 40), "ftruncate to a terabyte");
}
