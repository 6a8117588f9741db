#include "deed.h"

DEED("sets a key that is longer than a key may be", BY("E2BIG", "protocol"))

static void permitted(const char *data) {
    cordon_bytes key = cordon_text("k"), value = cordon_text("v");
    cordon_status status = context_->host->context_set(context_, key, value);
    tell(status == CORDON_OK ? 0 : -1, "context_set");
}

static void deed(const char *data) {
    static char key[1 << 16];
    memset(key, 'k', sizeof key);
    cordon_bytes name = cordon_bytes_of(key, sizeof key);
    cordon_status status = context_->host->context_set(context_, name, cordon_text("v"));
    if (status == CORDON_OK) {
        done("context_set");
    } else {
        stopped(status == CORDON_TOO_LARGE ? E2BIG : EINVAL, "context_set gave %d", status);
    }
}
