#include <sys/socket.h>

#include "deed.h"

DEED("takes part in a network below IP, under a filter that allows it",
     BY("EPERM", "capabilities") ELSE("EPERM", "ids"),
     UNFILTERED)

static void permitted(const char *data) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tell(fd, "socket");
    close(fd);
}

static void deed(const char *data) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    tell(fd, "socket");
    close(fd);
}
