#include "deed.h"

DEED("reads the log of the kernel", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_syslog, 10 /* size of the buffer */, NULL, 0), "syslog");
}
