#include "deed.h"
#include "frame.h"

DEED("sends a frame of a kind that there isn't",
     BY("protocol (protocol)", "protocol"),
     SAYS("unknown kind"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    tell(send_frame((enum kind)0xee, context_->call_id, NULL, 0), "a frame");
    sleep(1);
}
