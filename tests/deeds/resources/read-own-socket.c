#include <poll.h>

#include "deed.h"

DEED("takes the message that says that its call is cancelled",
     BY("deadline", "deadline"),
     WITHIN("500ms"))

static void permitted(const char *data) {
    struct pollfd own = {.fd = 3};
    tell(poll(&own, 1, 0), "poll of the socket that it has");
}

static void deed(const char *data) {
    char bytes[64];
    struct pollfd own = {.fd = 3, .events = POLLIN};
    tell(poll(&own, 1, 20000) == 1 ? read(3, bytes, sizeof bytes) : 0, "read of the socket");
}
