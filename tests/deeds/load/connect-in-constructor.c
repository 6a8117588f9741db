#include <arpa/inet.h>
#include <sys/socket.h>

#include "deed.h"

/* Nobody listens on port 9: a refusal is an answer of the host. */
DEED("connects to a port of the host in a constructor",
     BY_FILTER ELSE("EACCES", "landlock-tcp") ELSE("ENETUNREACH", "net"),
     THROUGH("ECONNREFUSED"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = write(STDOUT_FILENO, "x\n", 2) < 0 ? errno : 0;
#else
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0) {
        connect(fd, (struct sockaddr *)&address, sizeof address);
    }
    error = errno;
    close(fd);
#endif
}

static void tell_early(const char *what) {
    if (error != 0) {
        stopped(error, "%s", what);
    } else {
        done("%s", what);
    }
}

static void permitted(const char *data) {
    tell_early("write to stdout");
}

static void deed(const char *data) {
    tell_early("connect");
}
