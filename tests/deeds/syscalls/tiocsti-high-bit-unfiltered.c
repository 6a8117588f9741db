#include <sys/ioctl.h>

#include "deed.h"

DEED("types into the terminal, by a request with a bit that the kernel ignores, under a filter "
     "that allows it",
     BY_FILTER,
     THROUGH("ENOTTY") UNFILTERED)

static void permitted(const char *data) {
    struct winsize size;
    tell(ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == -1 && errno == ENOTTY ? 0 : -1,
         "ioctl(TIOCGWINSZ)");
}

static void deed(const char *data) {
    tell(syscall(SYS_ioctl, STDIN_FILENO, TIOCSTI | 1UL << 32, "x"), "ioctl(TIOCSTI)");
}
