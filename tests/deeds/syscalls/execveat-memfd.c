#include <fcntl.h>
#include <sys/mman.h>

#include "deed.h"

DEED("executes a file that only memory holds",
     BY_FILTER ELSE("SIGXFSZ", "rlimits"),
     THROUGH("ENOENT"))

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "x\n", 2), "write to stdout");
}

static void deed(const char *data) {
    static char *const arguments[] = {"none", NULL};
    int fd = memfd_create("deed", 0);
    if (fd < 0 || write(fd, "#!/none\n", 8) < 0) {
        stopped(errno, "a memfd");
        return;
    }
    tell(syscall(SYS_execveat, fd, "", arguments, arguments, AT_EMPTY_PATH), "execveat");
}
