#include "deed.h"
#include "frame.h"

DEED("goes on after the last field of a frame",
     BY("protocol (protocol)", "protocol"),
     SAYS("after its last field"))

static void permitted(const char *data) {
    done("by the worker");
}

static void deed(const char *data) {
    static const uint8_t body[] = {0, 0, 0, 0, 'm', 'o', 'r', 'e'};
    tell(send_frame(REPLY, context_->call_id, body, sizeof body), "a frame");
    sleep(1);
}
