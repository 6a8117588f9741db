#include "deed.h"

DEED("sends what is no frame on the worker's socket", BY("protocol (protocol)", "protocol"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    char frame[256];
    memset(frame, 0xff, sizeof frame);
    tell(write(3, frame, sizeof frame), "write");
    sleep(1);
}
