#include "deed.h"
#include "frame.h"

DEED("asks the host something for a call that nobody made",
     BY("protocol (protocol)", "protocol"),
     SAYS("host call"))

static void permitted(const char *data) {
    tell(context_->host->emit(context_, cordon_text("x"), cordon_text("")) == CORDON_OK ? 0 : -1,
         "an emit");
}

static void deed(const char *data) {
    /* Number 1, an emit of the event "x" with nothing. */
    static const uint8_t body[] = {1, 3, 1, 'x', 0};
    tell(send_frame(HOST_CALL, context_->call_id + 1000, body, sizeof body), "a frame");
    sleep(1);
}
