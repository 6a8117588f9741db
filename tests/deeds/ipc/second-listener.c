#include "deed.h"
#include "frame.h"

DEED("offers a listener of its own", BY("protocol (protocol)", "protocol"), SAYS("listener"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    static const uint8_t fd[] = {6};
    tell(send_frame(LISTENER, 0, fd, sizeof fd), "a frame");
    sleep(1);
}
