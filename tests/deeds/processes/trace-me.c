#include <sys/ptrace.h>

#include "deed.h"

DEED("has its parent trace it", BY_KILL("ptrace") ELSE("EPERM", "tracing"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(ptrace(PTRACE_TRACEME, 0, NULL, NULL), "ptrace");
}
