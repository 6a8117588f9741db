#include "deed.h"
#include "frame.h"

DEED("replies to no call", BY("protocol (protocol)", "protocol"), SAYS("in flight"))

static void permitted(const char *data) {
    done("by the worker");
}

static void deed(const char *data) {
    static const uint8_t body[] = {0, 0, 0, 2, 'h', 'i'};
    tell(send_frame(REPLY, 0, body, sizeof body), "a frame");
    sleep(1);
}
