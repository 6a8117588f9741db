/*
 * Does what its caller asks, with what a plugin may use: the host's functions, time, memory and
 * threads. What it takes it keeps, until its process ends.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"probe\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "description = \"Does what its caller asks\"\n");

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double number(cordon_bytes payload) {
    char text[32] = "";
    if (payload.len > 0 && payload.len < sizeof text) {
        memcpy(text, payload.data, payload.len);
    }
    return atof(text);
}

/* Splits NAME=VALUE. */
static cordon_bytes cut(cordon_bytes *payload) {
    const uint8_t *equals = payload->len ? memchr(payload->data, '=', payload->len) : NULL;
    cordon_bytes name = *payload;
    if (equals == NULL) {
        *payload = cordon_text("");
        return name;
    }
    name.len = (size_t)(equals - payload->data);
    *payload = cordon_bytes_of(equals + 1, payload->len - name.len - 1);
    return name;
}

static cordon_status echo(const cordon_context *context, cordon_bytes text, cordon_sink *reply) {
    (void)context;
    return reply->write(reply, text);
}

static cordon_status get(const cordon_context *context, cordon_bytes key, cordon_sink *reply) {
    return context->host->context_get(context, key, reply);
}

static cordon_status set(const cordon_context *context, cordon_bytes value, cordon_sink *reply) {
    cordon_bytes key = cut(&value);
    (void)reply;
    return context->host->context_set(context, key, value);
}

static cordon_status emit(const cordon_context *context, cordon_bytes value, cordon_sink *reply) {
    cordon_bytes name = cut(&value);
    (void)reply;
    return context->host->emit(context, name, value);
}

static cordon_status service(const cordon_context *context, cordon_bytes name, cordon_sink *reply) {
    return context->host->call_service(context, name, cordon_text("m"), cordon_text(""), reply);
}

static cordon_status say(const cordon_context *context, cordon_bytes text, cordon_sink *reply) {
    (void)reply;
    context->host->log(context, CORDON_LOG_INFO, text);
    return CORDON_OK;
}

static cordon_status print(const cordon_context *context, cordon_bytes text, cordon_sink *reply) {
    (void)context, (void)reply;
    return write(STDOUT_FILENO, text.data, text.len) < 0 ? CORDON_ERROR : CORDON_OK;
}

static cordon_status caller(const cordon_context *context, cordon_bytes none, cordon_sink *reply) {
    (void)none;
    cordon_status status = reply->write(reply, context->tenant);
    if (status == CORDON_OK) {
        status = cordon_reply(reply, "/", 1);
    }
    return status == CORDON_OK ? reply->write(reply, context->user) : status;
}

/* Sleeps so many seconds, unless it is told to stop. */
static cordon_status rest(const cordon_context *context, cordon_bytes time, cordon_sink *reply) {
    double end = seconds(CLOCK_MONOTONIC) + number(time);
    while (seconds(CLOCK_MONOTONIC) < end) {
        if (cordon_cancelled(context)) {
            return cordon_fail(reply, CORDON_CANCELLED, "told to stop");
        }
        usleep(1000);
    }
    return cordon_reply(reply, "rested", 6);
}

/* Takes so many seconds of CPU time. */
static cordon_status spin(const cordon_context *context, cordon_bytes time, cordon_sink *reply) {
    double end = seconds(CLOCK_PROCESS_CPUTIME_ID) + number(time);
    (void)context;
    while (seconds(CLOCK_PROCESS_CPUTIME_ID) < end) {
    }
    return cordon_reply(reply, "spun", 4);
}

/* Takes so many MiB. */
static cordon_status heap(const cordon_context *context, cordon_bytes mib, cordon_sink *reply) {
    static volatile char *all;
    size_t size = (size_t)number(mib) << 20;
    (void)context;
    free((void *)all);
    all = malloc(size);
    for (size_t at = 0; all != NULL && at < size; at += 4096) {
        all[at] = 1;
    }
    return all != NULL || size == 0 ? CORDON_OK : cordon_fail(reply, CORDON_ERROR, "no memory");
}

static void *idle(void *nothing) {
    for (;;) {
        sleep(1000);
    }
    return nothing;
}

/* Takes so many threads. */
static cordon_status threads(const cordon_context *context, cordon_bytes count,
                             cordon_sink *reply) {
    (void)context;
    for (int wanted = (int)number(count); wanted > 0; wanted--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, idle, NULL) != 0) {
            return cordon_fail(reply, CORDON_ERROR, "no thread");
        }
    }
    return CORDON_OK;
}

static void *pass(void *nothing) {
    return nothing;
}

/* Makes one thread after another, for so many seconds. */
static cordon_status churn(const cordon_context *context, cordon_bytes time, cordon_sink *reply) {
    double end = seconds(CLOCK_MONOTONIC) + number(time);
    (void)context;
    while (seconds(CLOCK_MONOTONIC) < end) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, pass, NULL) != 0 || pthread_join(thread, NULL) != 0) {
            return cordon_fail(reply, CORDON_ERROR, "no thread");
        }
    }
    return cordon_reply(reply, "churned", 7);
}

/* Ends the main thread alone: another one lives on. */
static cordon_status leave(const cordon_context *context, cordon_bytes none, cordon_sink *reply) {
    pthread_t thread;
    (void)context, (void)none;
    if (pthread_create(&thread, NULL, idle, NULL) == 0) {
        syscall(SYS_exit, 0);
    }
    return cordon_fail(reply, CORDON_ERROR, "no thread");
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Makes 500 calls that the filter denies, in its own time, and replies with the 99th percentile of
 * what one takes, in microseconds: each is recorded before it is answered. */
static cordon_status deny(const cordon_context *context, cordon_bytes none, cordon_sink *reply) {
    enum { SAMPLES = 500 };
    static double times[SAMPLES];
    char text[32];
    (void)context, (void)none;
    for (int i = 0; i < SAMPLES; i++) {
        double start = seconds(CLOCK_MONOTONIC);
        if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) {
            return cordon_fail(reply, CORDON_ERROR, "not denied");
        }
        times[i] = seconds(CLOCK_MONOTONIC) - start;
        usleep(3000);
    }
    qsort(times, SAMPLES, sizeof *times, compare);
    double p99 = times[SAMPLES * 99 / 100] * 1e6;
    return cordon_reply(reply, text, (size_t)snprintf(text, sizeof text, "%.0f", p99));
}

static const struct {
    const char *name;
    cordon_status (*run)(const cordon_context *, cordon_bytes payload, cordon_sink *reply);
} methods[] = {
    {"echo", echo}, {"get", get},     {"set", set},       {"emit", emit}, {"service", service},
    {"log", say},   {"print", print}, {"caller", caller}, {"rest", rest}, {"spin", spin},
    {"heap", heap}, {"threads", threads}, {"deny", deny}, {"churn", churn}, {"leave", leave},
};

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (cordon_equals(method, methods[i].name)) {
            return methods[i].run(context, payload, reply);
        }
    }
    return CORDON_NO_METHOD;
}

static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .call = call,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    (void)host_abi;
    return &plugin;
}
