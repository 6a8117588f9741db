#include "deed.h"

DEED("keeps a hundred megabytes with the host, by many values", BY("E2BIG", "protocol"))

static void permitted(const char *data) {
    cordon_bytes key = cordon_text("k"), value = cordon_text("v");
    cordon_status status = context_->host->context_set(context_, key, value);
    tell(status == CORDON_OK ? 0 : -1, "context_set");
}

static void deed(const char *data) {
    static char value[1 << 20];
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%d", i);
        cordon_bytes bytes = cordon_bytes_of(value, sizeof value);
        cordon_status status = context_->host->context_set(context_, cordon_text(key), bytes);
        if (status != CORDON_OK) {
            stopped(status == CORDON_TOO_LARGE ? E2BIG : EINVAL, "value %d gave %d", i, status);
            return;
        }
    }
    done("a hundred values");
}
