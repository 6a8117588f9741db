#include <sys/ptrace.h>

#include "deed.h"

DEED("traces the parent of its process in a constructor",
     BY_KILL("ptrace") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS)

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = getpid() > 0 ? 0 : EINVAL;
#else
    error = ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) != 0 ? errno : 0;
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
    tell_early("ptrace");
}
