#include <arpa/inet.h>
#include <sys/socket.h>

#include "deed.h"

/* Without waiting for an answer: that it is on its way is enough. */
DEED("asks the cloud for the credentials of its machine, under a filter that allows it",
     BY("EACCES", "landlock-tcp") ELSE("ENETUNREACH", "net"),
     THROUGH("EINPROGRESS") UNFILTERED)

static void permitted(const char *data) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tell(fd, "socket");
    close(fd);
}

static void deed(const char *data) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address.sin_port = htons(80);
    address.sin_addr.s_addr = inet_addr("169.254.169.254");
    tell(fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
    close(fd);
}
