#include <fcntl.h>

#include "deed.h"

DEED("makes the kernel keep more of its output", BY_FILTER)

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "a line\n", 7), "write to stdout");
}

static void deed(const char *data) {
    tell(fcntl(STDOUT_FILENO, F_SETPIPE_SZ, 1 << 20), "F_SETPIPE_SZ");
}
