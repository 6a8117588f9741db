#include "deed.h"
#include "frame.h"

DEED("says that it isn't confined", BY("protocol (protocol)", "protocol"), SAYS("setup failure"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    static const uint8_t body[] = {1, 2};
    tell(send_frame(SETUP_FAILED, 0, body, sizeof body), "a frame");
    sleep(1);
}
