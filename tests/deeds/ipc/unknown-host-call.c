#include "deed.h"
#include "frame.h"

DEED("asks the host for what there isn't", BY("protocol (protocol)", "protocol"), SAYS("malformed"))

static void permitted(const char *data) {
    tell(context_->host->emit(context_, cordon_text("x"), cordon_text("")) == CORDON_OK ? 0 : -1,
         "an emit");
}

static void deed(const char *data) {
    static const uint8_t body[] = {1, 9, 1, 'x', 0};
    tell(send_frame(HOST_CALL, context_->call_id, body, sizeof body), "a frame");
    sleep(1);
}
