#include <sys/socket.h>

#include "deed.h"

DEED("sends open files to the host, under a filter that allows it",
     BY("EPERM", "passed-fds") ELSE("protocol (protocol)", "protocol"),
     UNFILTERED)

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "by the host's function");
    done("logged");
}

static void deed(const char *data) {
    static union {
        struct cmsghdr head;
        char room[CMSG_SPACE(253 * sizeof(int))];
    } control;
    struct iovec nothing = {"x", 1};
    struct msghdr message = {.msg_iov = &nothing,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(253 * sizeof(int));
    /* All of them 0, stdin. */
    tell(sendmsg(3, &message, MSG_NOSIGNAL), "sendmsg");
}
