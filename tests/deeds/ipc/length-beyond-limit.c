#include "deed.h"
#include "frame.h"

DEED("declares a frame of four gigabytes",
     BY("protocol (protocol)", "protocol"),
     SAYS("declares 4294967295 bytes"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    uint8_t header[HEADER];
    put_header(header, UINT32_MAX, REPLY, context_->call_id);
    tell(write(IPC, header, sizeof header), "a header");
    sleep(1);
}
