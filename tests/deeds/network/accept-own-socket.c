#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("accepts connections on the socket that it has", BY_FILTER ELSE("EINVAL", "kernel"))

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    tell(accept4(3, NULL, NULL, SOCK_CLOEXEC), "accept4");
}
