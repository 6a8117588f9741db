#include "deed.h"
#include "frame.h"

DEED("says again that it is ready to be attested",
     BY("protocol (protocol)", "protocol"),
     SAYS("ready"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    tell(send_frame(READY, 0, NULL, 0), "a frame");
    sleep(1);
}
