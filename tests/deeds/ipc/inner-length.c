#include "deed.h"
#include "frame.h"

DEED("says in a small frame that its text has 2^60 bytes",
     BY("protocol (protocol)", "protocol"),
     SAYS("kind 0x88"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    /* Level 3, then a length in nine bytes. */
    static const uint8_t body[] = {3, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0x10, 'x'};
    tell(send_frame(LOG, context_->call_id, body, sizeof body), "a frame");
    sleep(1);
}
