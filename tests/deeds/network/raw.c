#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("makes packets of its own", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    tell(fd, "socket");
    close(fd);
}
