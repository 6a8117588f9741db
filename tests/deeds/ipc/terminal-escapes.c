#include "deed.h"

/* It got through if a line of its output has a control character in it: the runner looks. */
DEED("prints and logs what would take a terminal over", BY("done", "output"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "a line of text");
    done("logged");
}

static void deed(const char *data) {
    static const char junk[] = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[8m\r\n\x9b" "31m\x7f\b\b";
    if (write(STDOUT_FILENO, junk, sizeof junk - 1) < 0 ||
        write(STDERR_FILENO, junk, sizeof junk - 1) < 0) {
        stopped(errno, "write");
        return;
    }
    cordon_log(context_, CORDON_LOG_ERROR, junk);
    done("printed");
}
