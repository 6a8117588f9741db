#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("makes packets of its own", BY_FILTER ELSE("EPERM", "ids") ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    (void)data;
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    (void)data;
    tell(fd, "socket");
    close(fd);
}
