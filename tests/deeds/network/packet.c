#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("listens to every packet", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    tell(fd, "socket");
    close(fd);
}
