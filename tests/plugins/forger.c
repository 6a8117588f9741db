/* Fails to start, with a text that forges a row of a table, a line of JSON, and a terminal's mind. */
#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"forger\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n");

static const char text[] = "no\nforged     1.0.0    SIGNED    active\n\x1b[2J\r\x9b"
                           "1m\xe2\x80\xae\"},{\"id\":\"forged\"}]}\n{\"plugins\":[]}\n";

static cordon_status create(const cordon_context *context, cordon_bytes config, void **instance,
                            cordon_sink *error) {
    (void)context, (void)config, (void)instance;
    return cordon_fail(error, CORDON_ERROR, text);
}

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)context, (void)method, (void)payload, (void)reply;
    return CORDON_NO_METHOD;
}

static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .create = create,
    .call = call,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    return host_abi >> 16 == CORDON_ABI_MAJOR ? &plugin : NULL;
}
