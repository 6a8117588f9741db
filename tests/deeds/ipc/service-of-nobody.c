#include "deed.h"

DEED("calls a service that it wasn't granted", BY("EACCES", "grants"))

static cordon_status drop(cordon_sink *sink, cordon_bytes bytes) {
    return CORDON_OK;
}

static cordon_sink dropped = {.size = sizeof dropped, .write = drop};

static void permitted(const char *data) {
    cordon_status status = context_->host->emit(context_, cordon_text("x"), cordon_text(""));
    tell(status == CORDON_OK ? 0 : -1, "an emit");
}

static void deed(const char *data) {
    cordon_bytes service = cordon_text("vault"), method = cordon_text("open");
    cordon_status status =
        context_->host->call_service(context_, service, method, cordon_text(""), &dropped);
    if (status == CORDON_OK) {
        done("call_service");
    } else {
        stopped(status == CORDON_DENIED ? EACCES : EINVAL, "call_service gave %d", status);
    }
}
