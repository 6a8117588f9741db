#include "deed.h"
#include "frame.h"

DEED("ends a frame before its last field", BY("protocol (protocol)", "protocol"), SAYS("malformed"))

static void permitted(const char *data) {
    done("by the worker");
}

static void deed(const char *data) {
    static const uint8_t body[] = {0, 0};
    tell(send_frame(REPLY, context_->call_id, body, sizeof body), "a frame");
    sleep(1);
}
