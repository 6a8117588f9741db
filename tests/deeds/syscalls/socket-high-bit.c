#include <sys/socket.h>

#include "deed.h"

DEED("makes a socket of a family with a bit that the kernel ignores", BY_FILTER)

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "x\n", 2), "write to stdout");
}

static void deed(const char *data) {
    tell(syscall(SYS_socket, AF_NETLINK | 1UL << 32, SOCK_RAW, 0), "socket");
}
