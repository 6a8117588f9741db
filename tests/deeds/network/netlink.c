#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("asks the kernel about its network", BY_FILTER)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    tell(fd, "socket");
    close(fd);
}
