/* victim: makes the kernel tell something, and says when it began, in nanoseconds of the
 * monotonic clock. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"victim\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "methods = [\"deny\", \"thread\", \"thread-in-call\", \"exit\", \"allocate\"]\n");

enum { MOST_THREADS = 64 };

static int write_now(char text[static 32]) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return snprintf(text, 32, "%lld", time.tv_sec * 1000000000LL + time.tv_nsec);
}

/* Makes a call that is denied. */
static cordon_status deny(const cordon_context *context, cordon_sink *reply) {
    char began[32];
    int length = write_now(began);
    (void)context;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0) {
        return cordon_fail(reply, CORDON_ERROR, "not denied");
    }
    return cordon_reply(reply, began, (size_t)length);
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void *wait_for_it(void *nothing) {
    pthread_mutex_lock(&held);
    pthread_mutex_unlock(&held);
    return nothing;
}

/* Makes threads until it is refused one, then ends them, so much later. */
static cordon_status refuse(useconds_t later, cordon_sink *reply) {
    pthread_t threads[MOST_THREADS];
    char began[32];
    int length = 0, made = 0;
    pthread_mutex_lock(&held);
    while (made < MOST_THREADS) {
        length = write_now(began);
        if (pthread_create(&threads[made], NULL, wait_for_it, NULL) != 0) {
            break;
        }
        made++;
    }
    usleep(later);
    pthread_mutex_unlock(&held);
    for (int i = 0; i < made; i++) {
        pthread_join(threads[i], NULL);
    }
    return cordon_reply(reply, began, (size_t)length);
}

static cordon_status thread(const cordon_context *context, cordon_sink *reply) {
    (void)context;
    return refuse(0, reply);
}

/* The call goes on for longer than anybody may take to see it. */
static cordon_status thread_in_call(const cordon_context *context, cordon_sink *reply) {
    (void)context;
    return refuse(60000, reply);
}

/* Ends, and logs when. */
static cordon_status leave(const cordon_context *context, cordon_sink *reply) {
    char began[32];
    int length = write_now(began);
    (void)reply;
    context->host->log(context, CORDON_LOG_INFO,
                       (cordon_bytes){(const uint8_t *)began, (size_t)length});
    _exit(3);
}

/* Takes memory without end. */
static cordon_status allocate(const cordon_context *context, cordon_sink *reply) {
    (void)context;
    for (;;) {
        volatile char *block = malloc(1 << 20);
        for (size_t at = 0; block != NULL && at < 1 << 20; at += 4096) {
            block[at] = 1;
        }
        if (block == NULL) {
            return cordon_fail(reply, CORDON_ERROR, "no memory");
        }
    }
}

static const struct {
    const char *name;
    cordon_status (*run)(const cordon_context *, cordon_sink *reply);
} methods[] = {{"deny", deny}, {"thread", thread}, {"thread-in-call", thread_in_call}, {"exit", leave}, {"allocate", allocate}};

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)payload;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (cordon_equals(method, methods[i].name)) {
            return methods[i].run(context, reply);
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
    return host_abi >> 16 == CORDON_ABI_MAJOR ? &plugin : NULL;
}
