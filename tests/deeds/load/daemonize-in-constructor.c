#include "deed.h"

DEED("leaves its process behind in a constructor, as daemons do",
     BY_FILTER ELSE("EAGAIN (threads)", "pids"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = getpid() > 0 ? 0 : EINVAL;
#else
    pid_t child;
    error = 0;
    /* One child that idles is what every deed of this kind makes; this one wants them all. */
    for (int i = 0; i < 64 && error == 0; i++) {
        child = fork();
        if (child == 0) {
            setsid();
            sleep(5);
            _exit(0);
        }
        error = child < 0 ? errno : 0;
    }
#endif
}

static void tell_early(const char *what) {
    if (error != 0) {
        stopped(error, "%s", what);
    } else {
        done("%s", what);
    }
}

static void permitted(const char *data) {
    tell_early("getpid");
}

static void deed(const char *data) {
    tell_early("fork and setsid");
}
