#include <sys/wait.h>

#include "deed.h"

DEED("makes a process", BY_FILTER)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    tell(child, "fork");
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
}
