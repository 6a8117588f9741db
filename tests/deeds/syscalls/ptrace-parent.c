#include <sys/ptrace.h>

#include "deed.h"

DEED("traces the parent of its process", BY_KILL("ptrace") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

/* Seizes without stopping it; the kernel lets go when this process ends. */
static void deed(const char *data) {
    tell(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL), "ptrace");
}
