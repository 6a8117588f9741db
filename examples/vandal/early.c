/*
 * vandal-early: does one deed of deeds.h in a constructor, before the host has called anything,
 * and replies to `report` with how it went. DEED and DATA are given to the compiler.
 */
#include <string.h>

#include "cordon_plugin.h"
#include "deeds.h"

CORDON_MANIFEST("id = \"vandal-early\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "author = \"The Cordon project\"\n"
                "description = \"Does '" DEED "' in a constructor\"\n"
                "methods = [\"report\"]\n");

static struct report report;

__attribute__((constructor)) static void strike_early(void) {
    const struct deed *deed = find_deed(DEED, strlen(DEED));
    if (deed != NULL) {
        deed->run(&report, DATA);
    }
}

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)context, (void)payload;
    if (!cordon_equals(method, "report")) {
        return CORDON_NO_METHOD;
    }
    return cordon_reply(reply, report.text, strlen(report.text));
}

static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .call = call,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    return host_abi >> 16 == CORDON_ABI_MAJOR ? &plugin : NULL;
}
