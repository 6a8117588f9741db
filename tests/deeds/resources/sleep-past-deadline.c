#include <time.h>

#include "deed.h"

DEED("sleeps through its deadline", BY("deadline (deadline)", "deadline"), WITHIN("500ms"))

static void permitted(const char *data) {
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    done("20 ms");
}

static void deed(const char *data) {
    struct timespec pause = {.tv_sec = 600};
    nanosleep(&pause, NULL);
    done("600 s");
}
