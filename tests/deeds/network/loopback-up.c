#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "deed.h"

DEED("turns its loopback on by the socket that it has", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    tell(ioctl(3, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
}
