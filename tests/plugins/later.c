/*
 * Does what it is told once its call is over and a while has passed: whoever watches it can be
 * stopped meanwhile. Also answers, or crashes, at once. Without a manifest, which lies beside each
 * copy of it.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cordon_plugin.h"

enum { WHILE = 1500 * 1000, LINES = 100, DENIALS = 5, MIB = 1 << 20 };

static void *rest_for_ever(void *unused) {
    for (;;) {
        sleep(1000);
    }
    return unused;
}

/* More memory than it is granted. */
static void take_memory(void) {
    for (;;) {
        memset(mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, MIB);
    }
}

/* One thread more than it is granted. */
static void take_threads(void) {
    pthread_t thread;
    while (pthread_create(&thread, NULL, rest_for_ever, NULL) == 0) {
    }
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

static void say(const char *format, long first, long second, long third) {
    char text[128];
    int length = snprintf(text, sizeof text, format, first, second, third);
    if (write(STDOUT_FILENO, text, (size_t)length) < 0) {
        _exit(1);
    }
}

/* Calls that the filter denies. */
static void be_denied(void) {
    long started = milliseconds(), passed = 0;
    for (int i = 0; i < DENIALS; i++) {
        passed += socket(AF_INET, SOCK_STREAM, 0) >= 0;
    }
    say("%ld denied calls, %ld passed, %ld ms\n", DENIALS, passed, milliseconds() - started);
}

static void print_lines(void) {
    for (long i = 0; i < LINES; i++) {
        say("line %ld of %ld%.0ld\n", i, LINES, 0);
    }
}

static void leave(void) {
    _exit(3);
}

/* System calls that are permitted, all the time: how many, and the longest time between two. */
static volatile long beats, longest;

static void beat(void) {
    for (long before = milliseconds();; beats++) {
        usleep(10000);
        void *page = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(page, MIB);
        long now = milliseconds();
        longest = now - before > longest ? now - before : longest;
        before = now;
    }
}

static cordon_status tell_beats(cordon_sink *reply) {
    char text[64];
    int length = snprintf(text, sizeof text, "%ld %ld", beats, longest);
    return cordon_reply(reply, text, (size_t)length);
}

/* Late enough to be answered to nobody who listens, and within the deadline. */
static cordon_status answer_later(const cordon_context *context, cordon_sink *reply) {
    usleep(WHILE);
    for (int i = 0; i < LINES; i++) {
        cordon_log(context, CORDON_LOG_INFO, "a record");
    }
    return cordon_reply(reply, "in time", 7);
}

static const struct {
    const char *name;
    void (*run)(void);
} deeds[] = {
    {"memory", take_memory}, {"threads", take_threads}, {"denials", be_denied},
    {"print", print_lines},  {"leave", leave},          {"beat", beat},
};

static void *after_a_while(void *deed) {
    usleep(WHILE);
    deeds[(long)deed].run();
    return rest_for_ever(NULL);
}

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)payload;
    if (cordon_equals(method, "answer")) {
        return answer_later(context, reply);
    }
    if (cordon_equals(method, "overdue")) {
        rest_for_ever(NULL);
    }
    if (cordon_equals(method, "echo")) {
        return cordon_reply(reply, "echo", 4);
    }
    if (cordon_equals(method, "crash")) {
        __builtin_trap();
    }
    if (cordon_equals(method, "beats")) {
        return tell_beats(reply);
    }
    for (long i = 0; i < (long)(sizeof deeds / sizeof *deeds); i++) {
        pthread_t thread;
        if (!cordon_equals(method, deeds[i].name)) {
            continue;
        }
        if (pthread_create(&thread, NULL, after_a_while, (void *)i) != 0) {
            return cordon_fail(reply, CORDON_ERROR, "no thread");
        }
        return cordon_reply(reply, "begun", 5);
    }
    return CORDON_NO_METHOD;
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
