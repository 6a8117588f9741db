#include <sys/ptrace.h>

#include "deed.h"

DEED("traces the supervisor",
     BY_KILL("ptrace") ELSE("ESRCH", "pid") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS,
     DATA("{pid}"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(ptrace(PTRACE_SEIZE, (pid_t)number(data), NULL, NULL), "ptrace");
}
