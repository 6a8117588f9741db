/*
 * Goes on when its call is over: threads that flood the supervisor with empty log records, with
 * text on standard output or with denied system calls, or that burn time which no call asked for.
 * Also makes denied calls in a number that it tells.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

/* A call that the filter denies: whether it was refused. */
static long deny(void) {
    return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM;
}

static void *flood_denials(void *unused) {
    for (;;) {
        deny();
    }
    return unused;
}

static void *deny_times(void *times) {
    long refused = 0;
    for (long left = (long)times; left > 0; left--) {
        refused += deny();
    }
    return (void *)refused;
}

enum { DENIERS = 4 };

/* So many denied calls on each of some threads; replies with how many were refused. */
static cordon_status deny_exactly(long times, cordon_sink *reply) {
    pthread_t threads[DENIERS];
    long refused = 0;
    char text[32];
    for (int i = 0; i < DENIERS; i++) {
        if (pthread_create(&threads[i], NULL, deny_times, (void *)times) != 0) {
            return cordon_fail(reply, CORDON_ERROR, "no thread");
        }
    }
    for (int i = 0; i < DENIERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        refused += (long)result;
    }
    return cordon_reply(reply, text, (size_t)snprintf(text, sizeof text, "%ld", refused));
}

static long number(cordon_bytes payload) {
    char text[32] = "";
    if (payload.len > 0 && payload.len < sizeof text) {
        memcpy(text, payload.data, payload.len);
    }
    return atol(text);
}

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)context;
    void *(*deed)(void *) = NULL;
    long threads = 1;
    if (cordon_equals(method, "deny-exactly")) {
        return deny_exactly(number(payload), reply);
    }
    if (cordon_equals(method, "flood-denials")) {
        deed = flood_denials;
        threads = number(payload);
    } else if (cordon_equals(method, "flood-log")) {
        deed = flood_log;
    } else if (cordon_equals(method, "flood-output")) {
        deed = flood_output;
    } else if (cordon_equals(method, "spin")) {
        deed = spin;
    } else {
        return CORDON_NO_METHOD;
    }
    for (; threads > 0; threads--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, deed, NULL) != 0) {
            return cordon_fail(reply, CORDON_ERROR, "no thread");
        }
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
