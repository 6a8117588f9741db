#include <sys/socket.h>
#include <sys/un.h>

#include "deed.h"

/* The host's socket is of another type, which whoever reaches it is told. */
DEED("sends to a socket of the host from an end of a pair, under a filter that allows it",
     BY("ENOENT", "root") ELSE("EACCES", "ids"),
     DATA("{socket}") THROUGH("EPROTOTYPE") UNFILTERED)

static void permitted(const char *data) {
    int ends[2];
    tell(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0 ? -1 : write(ends[0], "x", 1),
         "write to the other end");
}

static void deed(const char *data) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int ends[2];
    snprintf(address.sun_path, sizeof address.sun_path, "%s", data);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) {
        stopped(errno, "socketpair");
        return;
    }
    tell(sendto(ends[0], "x", 1, 0, (struct sockaddr *)&address, sizeof address), "sendto");
}
