#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "deed.h"

DEED("asks for network interfaces by the socket that it has", BY_FILTER)

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    struct ifreq request = {.ifr_ifindex = 1};
    tell(ioctl(3, SIOCGIFNAME, &request), "SIOCGIFNAME");
}
