#include <arpa/inet.h>
#include <sys/socket.h>

#include "deed.h"

DEED("connects to a port of the host, under a filter that allows it",
     BY("EACCES", "landlock-tcp") ELSE("ENETUNREACH", "net"),
     DATA("{port}") UNFILTERED)

static void permitted(const char *data) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tell(fd, "socket");
    close(fd);
}

static void deed(const char *data) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)number(data));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tell(fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
    close(fd);
}
