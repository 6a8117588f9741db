#include <fcntl.h>
#include <sys/stat.h>

#include "deed.h"

DEED("looks for a file by a call that seems to be fstat: with an absolute path the kernel ignores "
     "" "" "" "" "" "" "" "both the fd and AT_EMPTY_PATH",
     BY("ENOENT", "root"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstatat(STDIN_FILENO, "", &status, AT_EMPTY_PATH), "fstatat of stdin");
}

static void deed(const char *data) {
    struct stat status;
    tell(fstatat(STDIN_FILENO, "/etc/hostname", &status, AT_EMPTY_PATH), "fstatat");
}
