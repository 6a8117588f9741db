/*
 * The least a plugin can be, without a manifest. The test says what is wrong with it:
 * -DNO_ENTRY leaves out the entry, -DABI=… is the version that its table claims.
 */
#include "cordon_plugin.h"

#ifndef ABI
#define ABI CORDON_ABI_VERSION
#endif

#ifndef NO_ENTRY
static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = ABI,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    (void)host_abi;
    return &plugin;
}
#endif
