/*
 * Tries one thing that only a grant allows, and says how that ended: "ok", or the errno's name.
 * It has no manifest of its own: each test writes the sidecar that asks.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cordon_plugin.h"

static struct sockaddr_in loopback(long port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Ends an act that has a socket: how it ended stays in errno. */
static int end(int socket, int result) {
    int error = errno;
    if (socket >= 0) {
        close(socket);
    }
    errno = error;
    return result;
}

static int bind_port(long port) {
    struct sockaddr_in address = loopback(port);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    return end(server, server < 0 ? -1 : bind(server, (void *)&address, sizeof address));
}

static int connect_port(long port) {
    struct sockaddr_in address = loopback(port);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    return end(client, client < 0 ? -1 : connect(client, (void *)&address, sizeof address));
}

static int udp(long port) {
    struct sockaddr_in address = loopback(port);
    int client = socket(AF_INET, SOCK_DGRAM, 0);
    return end(client, client < 0 ? -1 : connect(client, (void *)&address, sizeof address));
}

/* An abstract name that ends in the number. */
static int abstract(long number) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path + 1, 64, "cordon-test-%ld", number);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    return end(client, client < 0 ? -1 : connect(client, (void *)&address, size));
}

static int raw(long protocol) {
    int made = socket(AF_INET, SOCK_RAW, (int)protocol);
    return end(made, made < 0 ? -1 : 0);
}

/* Further bytes at every call: they stay locked. */
static int lock(long bytes) {
    void *memory = mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? -1 : mlock(memory, (size_t)bytes);
}

static int nice_to(long value) { return setpriority(PRIO_PROCESS, 0, (int)value); }

static int realtime(long priority) {
    struct sched_param parameters = {.sched_priority = (int)priority};
    return sched_setscheduler(0, SCHED_FIFO, &parameters);
}

static int user_namespace(long unused) {
    (void)unused;
    return unshare(CLONE_NEWUSER);
}

/* How a child ended, as a result of ours. */
static int ended(pid_t child) {
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return -1;
    }
    errno = ECHILD;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int fork_one(long unused) {
    (void)unused;
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    return ended(child);
}

/* Runs what is granted as /program. */
static int spawn(long unused) {
    (void)unused;
    char *const arguments[] = {"program", NULL};
    pid_t child;
    errno = posix_spawn(&child, "/program", NULL, NULL, arguments, NULL);
    return errno != 0 ? -1 : ended(child);
}

/* Writes a function and calls it. */
static int jit(long unused) {
    (void)unused;
#if defined(__x86_64__)
    static const unsigned char code[] = {0x31, 0xc0, 0xc3}; /* xor eax, eax; ret */
#else
    static const unsigned code[] = {0x52800000, 0xd65f03c0}; /* mov w0, 0; ret */
#endif
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return -1;
    }
    memcpy(memory, code, sizeof code);
    if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0) {
        return -1;
    }
    __builtin___clear_cache(memory, (char *)memory + sizeof code);
    int (*function)(void);
    memcpy(&function, &memory, sizeof function);
    return function();
}

static const struct {
    const char *name;
    int (*act)(long number);
} acts[] = {
    {"bind", bind_port}, {"connect", connect_port}, {"udp", udp},           {"abstract", abstract},
    {"raw", raw},        {"lock", lock},            {"nice", nice_to},      {"realtime", realtime},
    {"user-namespace", user_namespace},  {"fork", fork_one},        {"spawn", spawn},
    {"jit", jit},
};

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    char number[32] = "";
    (void)instance, (void)context;
    if (payload.len > 0 && payload.len < sizeof number) {
        memcpy(number, payload.data, payload.len);
    }
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (cordon_equals(method, acts[i].name)) {
            int result = acts[i].act(atol(number));
            const char *ending = result < 0 ? strerrorname_np(errno) : "ok";
            return cordon_reply(reply, ending, strlen(ending));
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
