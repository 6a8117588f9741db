#include <sys/socket.h>
#include <sys/un.h>

#include "deed.h"

DEED("sends to an address from a socket that it has", BY_FILTER ELSE("EISCONN", "kernel"))

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "x\n", 2), "write to stdout");
}

static void deed(const char *data) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/tmp/socket"};
    tell(sendto(3, "", 0, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof address), "sendto");
}
