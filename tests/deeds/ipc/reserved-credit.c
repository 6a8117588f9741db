#include "deed.h"
#include "frame.h"

DEED("gives itself credit, which is reserved",
     BY("protocol (protocol)", "protocol"),
     SAYS("which is reserved"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    uint8_t header[HEADER];
    put_header(header, 0, READY, 0);
    header[6] = 1;
    tell(write(IPC, header, sizeof header), "a header");
    sleep(1);
}
