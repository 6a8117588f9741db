/*
 * port80: serves one page on port 80 of its own network, and fetches it itself, from another
 * thread.
 *
 * No other process is in that network: nobody else can connect, and port 80 of the host stays as
 * it is. What this takes, the manifest asks for: the port, and the capability to bind it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"port80\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "author = \"The Cordon project\"\n"
                "description = \"Serves one page on port 80 of its own network\"\n"
                "methods = [\"serve\"]\n"
                "[requires]\n"
                "tcp = { bind = [80], connect = [80] }\n"
                "capabilities = [\"NET_BIND_SERVICE\"]\n"
                "[limits]\n"
                "heap = \"10MB\"\n"
                "threads = 2\n");

enum { REQUEST_MAX = 512, RESPONSE_MAX = 4096 };

static const char REQUEST[] = "GET / HTTP/1.0\r\n\r\n";
static const char HEAD[] = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n";

/* What the client got: so many bytes, or a negative errno. */
struct fetched {
    char bytes[RESPONSE_MAX];
    ssize_t length;
};

static struct sockaddr_in port80(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Sends all of it; 0, or -1 with errno. */
static int send_all(int socket, const void *data, size_t length) {
    const char *at = data;
    while (length > 0) {
        ssize_t sent = send(socket, at, length, MSG_NOSIGNAL);
        if (sent < 0) {
            return -1;
        }
        at += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* Receives until the peer has sent all, or `room` is full; so many bytes, or -1 with errno. */
static ssize_t receive_all(int socket, char *to, size_t room) {
    size_t length = 0;
    while (length < room) {
        ssize_t received = recv(socket, to + length, room - length, 0);
        if (received < 0) {
            return -1;
        }
        if (received == 0) {
            break;
        }
        length += (size_t)received;
    }
    return (ssize_t)length;
}

static void *fetch(void *argument) {
    struct fetched *fetched = argument;
    const struct sockaddr_in address = port80();
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fetched->length = -1;
    if (client >= 0 && connect(client, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send_all(client, REQUEST, sizeof REQUEST - 1) == 0 && shutdown(client, SHUT_WR) == 0) {
        fetched->length = receive_all(client, fetched->bytes, sizeof fetched->bytes);
    }
    if (fetched->length < 0) {
        fetched->length = -errno;
    }
    if (client >= 0) {
        close(client);
    }
    return NULL;
}

/* Answers the first client with `page`; 0, or -1 with errno. */
static int answer(int listener, cordon_bytes page) {
    char request[REQUEST_MAX];
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) {
        return -1;
    }
    int done = receive_all(client, request, sizeof request) < 0 ||
                       send_all(client, HEAD, sizeof HEAD - 1) < 0 ||
                       send_all(client, page.data, page.len) < 0
                   ? -1
                   : 0;
    close(client);
    return done;
}

static int listen_on_port80(void) {
    const struct sockaddr_in address = port80();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0 && (bind(listener, (const struct sockaddr *)&address, sizeof address) < 0 ||
                          listen(listener, 1) < 0)) {
        int error = errno;
        close(listener);
        errno = error;
        return -1;
    }
    return listener;
}

static cordon_status failed(cordon_sink *reply, const char *what, int error) {
    char text[128];
    snprintf(text, sizeof text, "%s: %s", what, strerror(error));
    return cordon_fail(reply, CORDON_ERROR, text);
}

/* Serves the payload, and replies with what the client got. */
static cordon_status serve(cordon_bytes page, cordon_sink *reply) {
    static struct fetched fetched;
    pthread_t client;
    int listener = listen_on_port80();
    if (listener < 0) {
        return failed(reply, "port 80", errno);
    }
    int error = pthread_create(&client, NULL, fetch, &fetched);
    if (error != 0) {
        close(listener);
        return failed(reply, "thread", error);
    }
    error = answer(listener, page) < 0 ? errno : 0;
    close(listener);
    pthread_join(client, NULL);
    if (error != 0) {
        return failed(reply, "answer", error);
    }
    if (fetched.length < 0) {
        return failed(reply, "fetch", (int)-fetched.length);
    }
    return cordon_reply(reply, fetched.bytes, (size_t)fetched.length);
}

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    (void)instance, (void)context;
    return cordon_equals(method, "serve") ? serve(payload, reply) : CORDON_NO_METHOD;
}

static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .call = call,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    return host_abi >> 16 == CORDON_ABI_MAJOR ? &plugin : NULL;
}
