#include <sys/wait.h>

#include "deed.h"

DEED("stops until a child of its memory has ended", BY_FILTER)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    pid_t child = vfork();
    if (child == 0) {
        _exit(0);
    }
    tell(child, "vfork");
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
}
