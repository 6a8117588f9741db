#include "deed.h"

DEED("becomes a shell in a constructor",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock"),
     PRINTED("a shell runs"))

static int error;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    if (write(STDOUT_FILENO, "no shell\n", 9) < 0) {
        error = errno;
    }
#else
    static char *const arguments[] = {"sh", "-c", "echo a shell runs", NULL};
    static char *const environment[] = {NULL};
    execve("/bin/sh", arguments, environment);
    error = errno;
#endif
}

static void permitted(const char *data) {
    errno = error;
    tell(error ? -1 : 0, "write to stdout in a constructor");
}

static void deed(const char *data) {
    stopped(error, "execve in a constructor");
}
