/*
 * vandal: the hostile example. Each method is one deed of deeds.h, and its payload the parameter.
 *
 * Loaded by Cordon it gets nowhere. Don't load it by anything else.
 */
#include <string.h>

#include "cordon_plugin.h"
#include "deeds.h"

CORDON_MANIFEST("id = \"vandal\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "author = \"The Cordon project\"\n"
                "description = \"Tries what no plugin may\"\n"
                "methods = [\n"
                "    \"open-shadow\", \"see-host\", \"see-host-as-fstat\", \"write-outside\",\n"
                "    \"connect-host\", \"execve\", \"kill-all\", \"kill-one\", \"ptrace-parent\",\n"
                "    \"fork-bomb\", \"allocate\", \"threads\", \"fds\", \"spin\",\n"
                "    \"own-filter\", \"own-filter-by-prctl\", \"own-listener\", \"mount\",\n"
                "    \"unshare\", \"keyctl\", \"io-uring\", \"bpf\", \"memfd-exec\",\n"
                "    \"written-exec\", \"print\", \"forge\", \"exit0\", \"abort\", \"segv\",\n"
                "    \"well-behaved\",\n"
                "]\n");

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    const struct deed *deed = find_deed((const char *)method.data, method.len);
    struct report report = {""};
    char data[256] = "";
    (void)instance, (void)context;
    if (deed == NULL) {
        return CORDON_NO_METHOD;
    }
    if (payload.len >= sizeof data) {
        return cordon_fail(reply, CORDON_TOO_LARGE, "a parameter has at most 255 bytes");
    }
    if (payload.len > 0) {
        memcpy(data, payload.data, payload.len);
    }
    deed->run(&report, data);
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
