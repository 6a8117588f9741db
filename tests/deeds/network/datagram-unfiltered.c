#include <arpa/inet.h>
#include <sys/socket.h>

#include "deed.h"

DEED("sends the host a datagram, which no rule on TCP stops, under a filter that allows it",
     BY("ENETUNREACH", "net"),
     UNFILTERED)

static void permitted(const char *data) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tell(fd, "socket");
    close(fd);
}

static void deed(const char *data) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons(9);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tell(fd < 0 ? -1 : sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address), "sendto");
    close(fd);
}
