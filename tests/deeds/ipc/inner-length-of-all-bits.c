#include "deed.h"
#include "frame.h"

DEED("says in a small frame that its payload has 2^64-1 bytes",
     BY("protocol (protocol)", "protocol"),
     SAYS("kind 0x87"))

static void permitted(const char *data) {
    done("by the worker");
}

static void deed(const char *data) {
    /* Status, verdict, schema, then a length in nine bytes. */
    static const uint8_t body[] = {0, 0, 0, 0xfd, 255, 255, 255, 255, 255, 255, 255, 255, 'x'};
    tell(send_frame(REPLY, context_->call_id, body, sizeof body), "a frame");
    sleep(1);
}
