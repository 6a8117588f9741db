#include "deed.h"
#include "frame.h"

DEED("says hello again", BY("protocol (protocol)", "protocol"), SAYS("hello"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    static const uint8_t hello[] = "CORDONIP\1\0\0\0\0\0\0\0\0";
    tell(send_frame(HELLO, 0, hello, sizeof hello), "a frame");
    sleep(1);
}
