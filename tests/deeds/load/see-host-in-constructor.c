#include <sys/stat.h>

#include "deed.h"

DEED("looks for any file of the host in a constructor", BY("ENOENT", "root"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    struct stat status;
    error = stat("/dev/null", &status) != 0 ? errno : 0;
#else
    static const char *const files[] = {"/etc/hostname", "/etc/passwd", "/bin/sh", "/root",
                                        "/home", "/var", "/proc", "/sys"};
    struct stat status;
    for (size_t i = 0; i < sizeof files / sizeof *files && error != 0; i++) {
        error = stat(files[i], &status) != 0 ? errno : 0;
    }
#endif
}

static void tell_early(const char *what) {
    if (error != 0) {
        stopped(error, "%s", what);
    } else {
        done("%s", what);
    }
}

static void permitted(const char *data) {
    tell_early("stat /dev/null");
}

static void deed(const char *data) {
    tell_early("stat of eight paths");
}
