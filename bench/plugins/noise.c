/*
 * noise: a neighbour that takes all it can of one thing, for a while each call: what its limits and
 * its filter leave it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"noise\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n");

enum { MIB = 1 << 20, HEAP = 40 * MIB, MILLISECONDS = 50 };

static void spin(const cordon_context *context) {
    for (volatile int turns = 0; turns < 10000; turns++) {
    }
    (void)context;
}

/* Takes memory page by page, and gives it back. */
static void take_memory(const cordon_context *context) {
    char *heap = mmap(NULL, HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)context;
    if (heap != MAP_FAILED) {
        memset(heap, 1, HEAP);
        munmap(heap, HEAP);
    }
}

static void *nothing(void *unused) {
    return unused;
}

static void take_threads(const cordon_context *context) {
    pthread_t threads[64];
    int made = 0;
    (void)context;
    while (made < 64 && pthread_create(&threads[made], NULL, nothing, NULL) == 0) {
        made++;
    }
    while (made > 0) {
        pthread_join(threads[--made], NULL);
    }
}

static void be_denied(const cordon_context *context) {
    (void)context;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0) {
        _exit(1);
    }
}

static void print_lines(const cordon_context *context) {
    static const char lines[] = "a line of noise\na line of noise\na line of noise\n";
    (void)context;
    if (write(STDOUT_FILENO, lines, sizeof lines - 1) < 0) {
        _exit(1);
    }
}

static void log_records(const cordon_context *context) {
    cordon_log(context, CORDON_LOG_INFO, "a record of noise");
}

static void emit_events(const cordon_context *context) {
    context->host->emit(context, cordon_text("noise"), cordon_text("an event"));
}

static const struct {
    const char *name;
    void (*make)(const cordon_context *context);
} noises[] = {
    {"cpu", spin},          {"memory", take_memory}, {"threads", take_threads},
    {"denials", be_denied}, {"output", print_lines}, {"log", log_records},
    {"messages", emit_events},
};

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)payload;
    for (unsigned i = 0; i < sizeof noises / sizeof *noises; i++) {
        if (cordon_equals(method, noises[i].name)) {
            for (long long end = now() + MILLISECONDS; now() < end;) {
                noises[i].make(context);
            }
            return cordon_reply(reply, "done", 4);
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
