#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "deed.h"

DEED("connects to an abstract socket of the host",
     BY_FILTER ELSE("ECONNREFUSED", "net") ELSE("EPERM", "landlock-scopes"),
     DATA("{abstract}"))

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(data);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path + 1, data, length);
    length += offsetof(struct sockaddr_un, sun_path) + 1;
    tell(fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, (socklen_t)length), "connect");
    close(fd);
}
