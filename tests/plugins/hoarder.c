/* Keeps 18 files open, while it is loaded: the only time that opening one is possible. */
#include <fcntl.h>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"hoarder\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n");

static cordon_status create(const cordon_context *context, cordon_bytes config, void **instance,
                            cordon_sink *error) {
    int last;
    (void)context, (void)config, (void)instance;
    do {
        last = open("/plugin/plugin.so", O_RDONLY);
        if (last < 0) {
            return cordon_fail(error, CORDON_ERROR, "no more files");
        }
    } while (last < 17);
    return CORDON_OK;
}

static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .create = create,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    (void)host_abi;
    return &plugin;
}
