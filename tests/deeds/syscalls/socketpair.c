#include <sys/socket.h>

#include "deed.h"

DEED("makes a pair of sockets, one end of which could send to a path", BY_FILTER)

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "x\n", 2), "write to stdout");
}

static void deed(const char *data) {
    int ends[2];
    tell(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), "socketpair");
}
