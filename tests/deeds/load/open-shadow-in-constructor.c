#include <fcntl.h>

#include "deed.h"

DEED("reads the password hashes of the host in a constructor, when files can be opened",
     BY("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
#else
    error = open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
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
    tell_early("open /dev/null");
}

static void deed(const char *data) {
    tell_early("open /etc/shadow");
}
