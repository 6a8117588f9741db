#include "deed.h"
#include "frame.h"

DEED("logs a text that is no text", BY("protocol (protocol)", "protocol"), SAYS("malformed"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    static const uint8_t body[] = {3, 2, 0xc3, 0x28};
    tell(send_frame(LOG, context_->call_id, body, sizeof body), "a frame");
    sleep(1);
}
