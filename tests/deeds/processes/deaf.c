#include <signal.h>
#include <time.h>

#include "deed.h"

DEED("ignores every signal and stays", BY("deadline (deadline)", "deadline"), WITHIN("500ms"))

static void permitted(const char *data) {
    signal(SIGUSR1, SIG_IGN);
    done("one signal is ignored");
}

static void deed(const char *data) {
    struct timespec pause = {.tv_sec = 600};
    for (int number = 1; number < 32; number++) {
        signal(number, SIG_IGN);
    }
    nanosleep(&pause, NULL);
    done("it stayed");
}
