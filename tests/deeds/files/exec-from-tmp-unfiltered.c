#include <fcntl.h>

#include "deed.h"

DEED("executes what it wrote to its /tmp",
     BY("EACCES", "mounts"),
     MANIFEST("requires.tmp = \"1MiB\"") THROUGH("ENOENT") UNFILTERED
     POLICY("{ limits = { disk = \"1MiB\" } }"))

static void permitted(const char *data) {
    int fd = open("/tmp/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    tell(fd < 0 ? -1 : write(fd, "x", 1), "a file in /tmp");
    close(fd);
}

static void deed(const char *data) {
    static char *const arguments[] = {"evil", NULL};
    int fd = open("/tmp/evil", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    if (fd < 0 || write(fd, "#!/lib/none\n", 12) < 0) {
        stopped(EIO, "a file in /tmp");
        return;
    }
    close(fd);
    tell(execve("/tmp/evil", arguments, arguments + 1), "execve");
}
