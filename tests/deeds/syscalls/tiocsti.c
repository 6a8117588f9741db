#include <sys/ioctl.h>

#include "deed.h"

DEED("types into the terminal that it was started from", BY_FILTER, THROUGH("ENOTTY"))

static void permitted(const char *data) {
    struct winsize size;
    tell(ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == -1 && errno == ENOTTY ? 0 : -1,
         "ioctl(TIOCGWINSZ)");
}

static void deed(const char *data) {
    tell(ioctl(STDIN_FILENO, TIOCSTI, "x"), "ioctl(TIOCSTI)");
}
