#include <sys/socket.h>

#include "deed.h"

DEED("opens a door to itself in a constructor", BY_FILTER)

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = write(STDOUT_FILENO, "x\n", 2) < 0 ? errno : 0;
#else
    error = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? errno : 0;
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
    tell_early("write to stdout");
}

static void deed(const char *data) {
    tell_early("socket");
}
