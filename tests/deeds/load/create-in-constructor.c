#include <fcntl.h>

#include "deed.h"

/* Without a name, so that nothing stays. */
DEED("makes a file on the host in a constructor",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
#else
    error = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) < 0 ? errno : 0;
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
    tell_early("a file in /var/tmp");
}
