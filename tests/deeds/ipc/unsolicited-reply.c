#include "deed.h"
#include "frame.h"

DEED("replies to a call that nobody made", BY("protocol (protocol)", "protocol"), SAYS("in flight"))

static void permitted(const char *data) {
    done("by the worker");
}

static void deed(const char *data) {
    static const uint8_t body[] = {0, 0, 0, 2, 'h', 'i'};
    tell(send_frame(REPLY, context_->call_id + 1000, body, sizeof body), "a frame");
    sleep(1);
}
