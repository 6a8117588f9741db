#include <fcntl.h>

#include "deed.h"

DEED("executes an open file", BY_FILTER, THROUGH("EACCES"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    static char *const none[] = {NULL};
    tell(syscall(SYS_execveat, STDIN_FILENO, "", none, none, AT_EMPTY_PATH), "execveat");
}
