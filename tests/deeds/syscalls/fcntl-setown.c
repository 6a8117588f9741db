#include <fcntl.h>

#include "deed.h"

DEED("has the kernel signal whomever it names", BY_FILTER)

static void permitted(const char *data) {
    tell(fcntl(STDIN_FILENO, F_GETFL), "fcntl(F_GETFL)");
}

static void deed(const char *data) {
    tell(fcntl(3, F_SETOWN, getppid()), "fcntl(F_SETOWN)");
}
