#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "deed.h"

DEED("connects to a socket in a folder of the host",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "ids"),
     DATA("{socket}"))

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", data);
    tell(fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
    close(fd);
}
