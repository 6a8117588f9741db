/*
 * Dies in each way that a process can, from functions whose names a backtrace must show.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cordon_plugin.h"

#ifdef RUST
#define ID "rusty"
#else
#define ID "crasher"
#endif

CORDON_MANIFEST("id = \"" ID "\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "description = \"Dies in each way that a process can\"\n");

#define OUTLINE __attribute__((noinline, noclone))

typedef void death(void);

OUTLINE static void segfault(void) {
    volatile char *volatile nowhere = (char *)0xdead0;
    *nowhere = 1;
}

/* Time for others to be stopped or killed. */
OUTLINE static void later(void) {
    usleep(500000);
    segfault();
}

OUTLINE static void abort_now(void) {
    abort();
}

OUTLINE static void exit_0(void) {
    exit(0);
}

static volatile int for_ever = 1;

OUTLINE static void overflow(void) {
    char frame[4096];
    __asm__ volatile("" : : "r"(frame) : "memory");
    if (for_ever) {
        overflow();
    }
    __asm__ volatile("" : : "r"(frame) : "memory");
}

/* No honest plugin makes this call. */
OUTLINE static void denied(void) {
    syscall(SYS_ptrace, 0, 0, 0, 0);
}

OUTLINE static void spin(void) {
    for (;;) {
        __asm__ volatile("");
    }
}

OUTLINE static void outer(death *of) {
    of();
    __asm__ volatile("" ::: "memory");
}

static void *in_thread(void *of) {
    pthread_setname_np(pthread_self(), "second");
    outer((death *)of);
    return NULL;
}

OUTLINE static void threaded(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, in_thread, (void *)segfault) == 0) {
        pthread_join(thread, NULL);
    }
}

static sigjmp_buf back;
static volatile sig_atomic_t caught;

static void handle(int signal) {
    caught = signal;
    siglongjmp(back, 1);
}

/* Faults so often, and takes care of it itself. */
static int handled(int times) {
    struct sigaction action = {.sa_handler = handle};
    struct sigaction before;
    sigaction(SIGSEGV, &action, &before);
    for (volatile int i = 0; i < times; i++) {
        caught = 0;
        if (sigsetjmp(back, 1) == 0) {
            segfault();
        }
        if (caught != SIGSEGV) {
            return 0;
        }
    }
    sigaction(SIGSEGV, &before, NULL);
    return 1;
}

#ifdef RUST
/* Of another language. */
extern void rust_death(void);
#else
static void rust_death(void) {
}
#endif

static void *nothing(void *none) {
    return none;
}

/* Many threads, then many signals. */
static int flood(void) {
    pthread_t thread;
    for (int i = 0; i < 2000; i++) {
        if (pthread_create(&thread, NULL, nothing, NULL) != 0) {
            return 0;
        }
        pthread_join(thread, NULL);
    }
    return handled(20000);
}

static const struct {
    const char *name;
    death *of;
} deaths[] = {
    {"segfault", segfault}, {"abort", abort_now}, {"exit0", exit_0}, {"overflow", overflow},
    {"denied", denied},     {"spin", spin},       {"thread", threaded},
    {"rust", rust_death}, {"later", later},
};

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)context, (void)payload;
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
        if (cordon_equals(method, deaths[i].name)) {
            outer(deaths[i].of);
            return CORDON_OK;
        }
    }
    if (cordon_equals(method, "handled")) {
        return reply->write(reply, cordon_text(handled(10) ? "handled" : "missed"));
    }
    if (cordon_equals(method, "flood")) {
        return reply->write(reply, cordon_text(flood() ? "flooded" : "stopped"));
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
