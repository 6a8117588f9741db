#include <fcntl.h>
#include <sys/mman.h>

#include "code.h"
#include "deed.h"

DEED("maps code that it wrote to its /tmp",
     BY("EPERM", "mounts"),
     MANIFEST("requires.tmp = \"1MiB\"") UNFILTERED POLICY("{ limits = { disk = \"1MiB\" } }"))

static void permitted(const char *data) {
    int fd = open("/tmp/data", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    tell(fd < 0 || write(fd, "x", 1) < 0 ||
                 mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED
             ? -1
             : 0,
         "mmap of data");
}

static void deed(const char *data) {
    int fd = open("/tmp/code", O_RDWR | O_CREAT | O_CLOEXEC, 0700);
    if (fd < 0 || write(fd, code, sizeof code) < 0) {
        stopped(EIO, "a file in /tmp");
        return;
    }
    void *at = mmap(NULL, sizeof code, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
        stopped(errno, "mmap");
    } else {
        done("code gave %d", run_code(at));
    }
}
