/*
 * Makes one denied system call in each of the ways in which a call can come from a plugin, so that
 * its evidence can be compared with what really happened.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"denier\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "description = \"Is denied what it asks for\"\n");

#define OWN_FRAME __attribute__((noinline, noclone))

static char text[4096];

/* The path is the payload. Not a tail call: the function has to be on the stack. */
OWN_FRAME static int open_path(void) {
    int fd = open(text, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    return fd < 0 ? -errno : fd;
}

/* Without the C library: the instruction itself lies in the plugin. */
OWN_FRAME static int call_inline(void) {
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_memfd_create), "D"(text), "S"(1L)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_memfd_create;
    register long result __asm__("x0") = (long)text;
    register long flags __asm__("x1") = 1;
    __asm__ volatile("svc #0" : "+r"(result) : "r"(number), "r"(flags) : "memory");
#endif
    return (int)result;
}

OWN_FRAME static int compare(const void *left, const void *right) {
    char room[40 << 10];
    memset(room, 1, sizeof room);
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    __asm__ volatile("" ::"r"(room) : "memory");
    return (left > right) + (fd >= 0);
}

/* Far below the frames of the C library that lie between. */
OWN_FRAME static int call_back(void) {
    int pair[2] = {2, 1};
    qsort(pair, 2, sizeof *pair, compare);
    return -errno;
}

OWN_FRAME static int connect_to(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    address.sin_addr.s_addr = htonl(0xa9fea9fe);
    int result = connect(STDOUT_FILENO, (struct sockaddr *)&address, sizeof address);
    return result < 0 ? -errno : result;
}

static void *on_thread(void *result) {
    *(int *)result = open_path();
    return NULL;
}

OWN_FRAME static int use_thread(void) {
    pthread_t thread;
    int result = 0;
    pthread_create(&thread, NULL, on_thread, &result);
    pthread_join(thread, NULL);
    return result;
}

static volatile int stop;

static void *rewrite(void *unused) {
    while (!stop) {
        memcpy(text, "/plugin/plugin.so", 18);
        memcpy(text, "/etc/shadow/////x", 18);
    }
    return unused;
}

/* The path changes while the call waits; none may get through. */
OWN_FRAME static int race(void) {
    pthread_t thread;
    int result = -EPERM;
    stop = 0;
    pthread_create(&thread, NULL, rewrite, NULL);
    for (int i = 0; i < 300 && result == -EPERM; i++) {
        result = open_path();
    }
    stop = 1;
    pthread_join(thread, NULL);
    return result;
}

static int rest(void) {
    usleep(200000);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} methods[] = {
    {"open", open_path},        {"inline", call_inline}, {"call-back", call_back},
    {"connect", connect_to},    {"thread", use_thread},  {"race", race},
    {"rest", rest},
};

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)context;
    size_t length = payload.len < sizeof text - 1 ? payload.len : sizeof text - 1;
    if (length > 0) {
        memcpy(text, payload.data, length);
    }
    text[length] = 0;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (cordon_equals(method, methods[i].name)) {
            char answer[32];
            int size = snprintf(answer, sizeof answer, "%d", methods[i].run());
            return cordon_reply(reply, answer, (size_t)size);
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
