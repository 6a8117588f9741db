#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("makes a socket to the hypervisor", BY_FILTER)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EAFNOSUPPORT) {
        done("the kernel was asked, and has none");
    } else {
        tell(fd, "socket");
    }
    close(fd);
}
