#include <linux/io_uring.h>

#include "deed.h"

DEED("opens the door round every filter, under a filter that allows it",
     BY_KILL("io_uring_setup") ELSE("ENOMEM", "rlimits"),
     UNFILTERED)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    struct io_uring_params parameters = {0};
    tell(syscall(SYS_io_uring_setup, 1, &parameters), "io_uring_setup");
}
