#include "deed.h"

DEED("asks for a key, for which the kernel starts a program on the host",
     BY_KILL("request_key"),
     THROUGH("ENOKEY"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_request_key, "user", "no such key", NULL, 0), "request_key");
}
