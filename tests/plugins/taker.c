/*
 * Takes what is measured from outside, and keeps it. It has no manifest of its own: each test
 * writes the sidecar that asks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <pthread.h>

#include "cordon_plugin.h"

enum { SPINNERS = 3, MIB = 1 << 20 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *idle(void *nothing) {
    for (;;) {
        sleep(1000);
    }
    return nothing;
}

/* Makes threads until none is to be had, then sleeps so many seconds. */
static int bomb(const char *time) {
    pthread_t thread;
    while (pthread_create(&thread, NULL, idle, NULL) == 0) {
    }
    for (double end = now() + atof(time); now() < end;) {
        usleep(1000);
    }
    return 0;
}

static void *spin(void *end) {
    while (now() < *(double *)end) {
    }
    return NULL;
}

/* Has several threads want all CPU time, for so many seconds. */
static int contend(const char *time) {
    pthread_t threads[SPINNERS];
    double end = now() + atof(time);
    for (int i = 0; i < SPINNERS; i++) {
        if ((errno = pthread_create(&threads[i], NULL, spin, &end)) != 0) {
            return -1;
        }
    }
    for (int i = 0; i < SPINNERS; i++) {
        pthread_join(threads[i], NULL);
    }
    return 0;
}

/* Opens so many files. */
static int fds(const char *count) {
    for (int left = atoi(count); left > 0; left--) {
        if (dup(0) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Writes 1 MiB. */
static int write_file(const char *path) {
    static char block[MIB];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -1;
    }
    ssize_t written = write(fd, block, sizeof block);
    return close(fd) == 0 && written == (ssize_t)sizeof block ? 0 : -1;
}

/* Has a child do it, which then stays. */
static int child(int (*act)(const char *), const char *argument) {
    int done[2];
    char byte = 0;
    if (pipe(done) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        byte = act(argument) == 0;
        while (write(done[1], &byte, 1) == 1) {
            idle(NULL);
        }
        _exit(1);
    }
    close(done[1]);
    ssize_t told = pid < 0 ? -1 : read(done[0], &byte, 1);
    close(done[0]);
    return told == 1 && byte == 1 ? 0 : -1;
}

static int child_fds(const char *count) { return child(fds, count); }

static int child_write(const char *path) { return child(write_file, path); }

/* Listens at a TCP port and connects to it: a listener and both ends of a connection. */
static int serve(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || client < 0 || bind(server, (void *)&address, sizeof address) != 0 ||
        listen(server, 1) != 0) {
        return -1;
    }
    return connect(client, (void *)&address, sizeof address);
}

static const struct {
    const char *name;
    int (*act)(const char *argument);
} acts[] = {
    {"bomb", bomb},
    {"contend", contend},
    {"fds", fds},
    {"write", write_file},
    {"child-fds", child_fds},
    {"child-write", child_write},
    {"serve", serve},
};

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    char argument[256] = "";
    (void)instance, (void)context;
    if (payload.len > 0 && payload.len < sizeof argument) {
        memcpy(argument, payload.data, payload.len);
    }
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (cordon_equals(method, acts[i].name)) {
            int result = acts[i].act(argument);
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
