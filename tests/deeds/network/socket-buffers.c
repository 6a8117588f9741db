#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("has the kernel keep more of what it sends", BY_FILTER)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    int bytes = 1 << 20;
    tell(setsockopt(3, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), "SO_SNDBUF");
}
