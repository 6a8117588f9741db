#include <fcntl.h>

#include "deed.h"

DEED("changes the flags of a file that it shares with the host", BY_FILTER)

static void permitted(const char *data) {
    tell(fcntl(STDIN_FILENO, F_GETFL), "fcntl(F_GETFL)");
}

static void deed(const char *data) {
    tell(fcntl(STDOUT_FILENO, F_SETFL, O_ASYNC), "fcntl(F_SETFL)");
}
