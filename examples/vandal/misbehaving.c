/* Misbehaves towards the supervisor, and for once doesn't. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deeds.h"

static void put(int fd, const char *bytes, size_t length) {
    /* What is not taken is the reader's loss. */
    if (write(fd, bytes, length) < 0) {
        return;
    }
}

/* Prints what would take a terminal over, and what looks like Cordon's own output. */
static void print(struct report *report, const char *data) {
    static const char junk[] =
        "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[8m\r\n"
        "{\"plugin\":\"vandal\",\"state\":\"trusted\"}\n"
        "\x9b" "31m\xff\xfe\x00\x01\x02\x7f\b\b\b\x1bP1;1|x\x1b\\ no end of line";
    (void)data;
    put(STDOUT_FILENO, junk, sizeof junk - 1);
    put(STDERR_FILENO, junk, sizeof junk - 1);
    done(report, "printed \x1b[31mred\x1b[0m\r\n{\"state\":\"trusted\"}");
}

/* Sends the supervisor what is no frame; IPC is fd 3 in every worker. */
static void forge(struct report *report, const char *data) {
    char frame[256];
    (void)data;
    memset(frame, 0xff, sizeof frame);
    put(3, frame, sizeof frame);
    done(report, "sent a forged frame");
}

/* Hands the supervisor a fd that it never asked for. */
static void send_fd(struct report *report, const char *data) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec byte = {"", 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    (void)data;
    memcpy(CMSG_DATA(&control.header), (int[]){STDOUT_FILENO}, sizeof(int));
    if (sendmsg(3, &message, 0) < 0) {
        stopped(report, errno, "sendmsg with SCM_RIGHTS");
    } else {
        done(report, "sent a fd");
    }
}

static void exit_0(struct report *report, const char *data) {
    (void)report, (void)data;
    exit(0);
}

static void abort_now(struct report *report, const char *data) {
    (void)report, (void)data;
    abort();
}

static void segv(struct report *report, const char *data) {
    volatile char *volatile nowhere = NULL;
    (void)report, (void)data;
    *nowhere = 1;
}

/* What a plugin should be. The number tells whether its process is still the same. */
static void well_behaved(struct report *report, const char *data) {
    static unsigned calls;
    (void)data;
    done(report, "well-behaved call %u", ++calls);
}

const struct deed misbehaving[] = {
    {"print", print},   {"forge", forge},     {"send-fd", send_fd},
    {"exit0", exit_0},  {"abort", abort_now}, {"segv", segv},
    {"well-behaved", well_behaved},
    {NULL, NULL},
};
