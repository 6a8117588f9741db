#include "deed.h"
#include "frame.h"

DEED("sends a frame so slowly that it never ends",
     BY("deadline (deadline)", "deadline"),
     WITHIN("1500ms"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "at once");
    done("logged at once");
}

static void deed(const char *data) {
    uint8_t header[HEADER];
    put_header(header, 100, LOG, context_->call_id);
    for (size_t at = 0; at < sizeof header; at++) {
        if (write(IPC, header + at, 1) != 1) {
            stopped(errno, "a byte");
            return;
        }
        sleep(at < 2 ? 1 : 600);
    }
    done("a header, byte by byte");
}
