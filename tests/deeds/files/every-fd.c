#include <fcntl.h>

#include "deed.h"

DEED("looks for an fd that somebody left open", BY("EBADF", "fds"))

static void permitted(const char *data) {
    tell(fcntl(STDOUT_FILENO, F_GETFD), "F_GETFD of stdout");
}

static void deed(const char *data) {
    int fd, found = 0;
    for (fd = 4; fd < 65536; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            found++;
        }
    }
    if (found > 0) {
        done("%d fds", found);
    } else {
        stopped(EBADF, "every number from 4 on");
    }
}
