/*
 * echo: replies with what it was given, so that a call costs nothing but the call.
 * With -DSIDECAR its manifest lies beside it: copies of one file then have ids of their own.
 */
#include "cordon_plugin.h"

#ifndef SIDECAR
CORDON_MANIFEST("id = \"echo\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "methods = [\"echo\"]\n");
#endif

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)context;
    if (!cordon_equals(method, "echo")) {
        return CORDON_NO_METHOD;
    }
    return cordon_reply(reply, payload.data, payload.len);
}

static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .call = call,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    return host_abi >> 16 == CORDON_ABI_MAJOR ? &plugin : NULL;
}
