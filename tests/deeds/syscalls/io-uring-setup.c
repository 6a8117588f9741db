#include <linux/io_uring.h>
#include <poll.h>

#include "deed.h"

DEED("opens the door round every filter", BY_KILL("io_uring_setup") ELSE("ENOMEM", "rlimits"))

static void permitted(const char *data) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    tell(poll(&in, 1, 0), "poll");
}

static void deed(const char *data) {
    struct io_uring_params parameters = {0};
    tell(syscall(SYS_io_uring_setup, 1, &parameters), "io_uring_setup");
}
