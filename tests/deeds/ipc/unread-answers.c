#include "deed.h"
#include "frame.h"

DEED("asks the host without end and reads no answer",
     BY("protocol (protocol)", "protocol"),
     WITHIN("20s") POLICY("{ limits = { cpu = \"20s\" } }"))

static void permitted(const char *data) {
    char value[1024] = "";
    cordon_bytes bytes = cordon_bytes_of(value, sizeof value);
    tell(context_->host->context_set(context_, cordon_text("key"), bytes) == CORDON_OK ? 0 : -1,
         "context_set");
}

static void deed(const char *data) {
    /* Number 1, the value of the key "key". */
    static const uint8_t body[] = {1, 1, 3, 'k', 'e', 'y'};
    for (int i = 0; i < 1000000; i++) {
        if (send_frame(HOST_CALL, context_->call_id, body, sizeof body) != 0) {
            break;
        }
    }
    tell(0, "a million questions");
    sleep(1);
}
