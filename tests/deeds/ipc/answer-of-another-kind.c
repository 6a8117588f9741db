#include "deed.h"
#include "frame.h"

DEED("answers a call as if it were a load",
     BY("protocol (protocol)", "protocol"),
     SAYS("expects another answer"))

static void permitted(const char *data) {
    done("by the worker");
}

static void deed(const char *data) {
    static const uint8_t body[] = {0xfc, 0, 0, 1, 0, 0};
    tell(send_frame(LOADED, context_->call_id, body, sizeof body), "a frame");
    sleep(1);
}
