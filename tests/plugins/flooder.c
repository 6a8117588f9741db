/*
 * Goes on when its call is over: threads that flood the supervisor with empty log records or with
 * text on standard output, or that burn time which no call asked for.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"flooder\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "description = \"Goes on when its call is over\"\n");

/* The socket to the supervisor, and a log record of the wire: 24 bytes of header (length, kind,
 * flags, credit, call, deadline), then level 3 and a text of length 0. */
enum { IPC = 3, RECORD = 26, BURST = 300 };

static void write_for_ever(int fd, const void *bytes, size_t length) {
    while (write(fd, bytes, length) > 0) {
    }
}

static void *flood_log(void *unused) {
    static uint8_t burst[RECORD * BURST];
    for (int i = 0; i < BURST; i++) {
        uint8_t *record = burst + i * RECORD;
        record[0] = 2;
        record[4] = 0x88;
        record[24] = 3;
    }
    write_for_ever(IPC, burst, sizeof burst);
    return unused;
}

static void *flood_output(void *unused) {
    static char lines[16384];
    memset(lines, '\n', sizeof lines);
    write_for_ever(STDOUT_FILENO, lines, sizeof lines);
    return unused;
}

static void *spin(void *unused) {
    for (volatile unsigned long turns = 0;; turns++) {
    }
    return unused;
}

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)context, (void)payload;
    void *(*deed)(void *) = NULL;
    if (cordon_equals(method, "flood-log")) {
        deed = flood_log;
    } else if (cordon_equals(method, "flood-output")) {
        deed = flood_output;
    } else if (cordon_equals(method, "spin")) {
        deed = spin;
    } else {
        return CORDON_NO_METHOD;
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, deed, NULL) != 0) {
        return cordon_fail(reply, CORDON_ERROR, "no thread");
    }
    return cordon_reply(reply, "begun", 5);
}

static const cordon_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .abi = CORDON_ABI_VERSION,
    .call = call,
};

CORDON_EXPORT const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    (void)host_abi;
    return &PLUGIN;
}
