#include <fcntl.h>

#include "deed.h"

DEED("locks a device against others", BY_FILTER)

static void permitted(const char *data) {
    tell(fcntl(STDOUT_FILENO, F_GETFL), "F_GETFL of stdout");
}

static void deed(const char *data) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    tell(fcntl(STDOUT_FILENO, F_OFD_SETLK, &lock), "F_OFD_SETLK");
}
