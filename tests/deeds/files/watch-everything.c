#include <fcntl.h>
#include <sys/fanotify.h>

#include "deed.h"

DEED("watches every file of a mount", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY);
    tell(fd, "fanotify_init");
    close(fd);
}
