#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "deed.h"

DEED("listens on a port", BY_FILTER ELSE("EACCES", "landlock-tcp"))

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bound = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
    tell(bound < 0 ? -1 : listen(fd, 1), "listen");
    close(fd);
}
