#include <fcntl.h>

#include "deed.h"

DEED("duplicates an open file by fcntl", BY_FILTER)

static void permitted(const char *data) {
    tell(fcntl(STDIN_FILENO, F_GETFL), "fcntl(F_GETFL)");
}

static void deed(const char *data) {
    tell(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), "fcntl(F_DUPFD)");
}
