#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("makes a socket that could have a path", BY_FILTER)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tell(fd, "socket");
    close(fd);
}
