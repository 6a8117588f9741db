#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("gets a handle of the supervisor by the socket between them", BY_FILTER)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    int process = -1;
    socklen_t length = sizeof process;
    tell(getsockopt(3, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &process, &length), "SO_PEERPIDFD");
    close(process);
}
