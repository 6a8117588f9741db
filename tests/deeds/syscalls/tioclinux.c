#include <sys/ioctl.h>

#include "deed.h"

DEED("pastes into a console", BY_FILTER, THROUGH("ENOTTY"))

static void permitted(const char *data) {
    struct winsize size;
    tell(ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == -1 && errno == ENOTTY ? 0 : -1,
         "ioctl(TIOCGWINSZ)");
}

static void deed(const char *data) {
    tell(ioctl(STDIN_FILENO, 0x541c /* TIOCLINUX */, "\3"), "ioctl(TIOCLINUX)");
}
