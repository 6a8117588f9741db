#include "deed.h"

DEED("becomes a shell",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "landlock"),
     PRINTED("a shell runs"))

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "no shell\n", 9), "write to stdout");
}

/* The shell says so: one that got through has no reply. */
static void deed(const char *data) {
    static char *const arguments[] = {"sh", "-c", "echo a shell runs", NULL};
    static char *const environment[] = {NULL};
    tell(execve("/bin/sh", arguments, environment), "execve");
}
