#include "deed.h"

/* The worker has sent at least the reply to `permitted` when the deed looks. */
DEED("exports functions by the names of those that the worker calls", BY("ENOENT", "loader"))

static volatile int called;

CORDON_EXPORT long send(int fd, const void *bytes, size_t length, int flags) {
    called++;
    return syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
}

CORDON_EXPORT long recv(int fd, void *bytes, size_t length, int flags) {
    called++;
    return syscall(SYS_recvfrom, fd, bytes, length, flags, NULL, NULL);
}

CORDON_EXPORT long read(int fd, void *bytes, size_t length) {
    called++;
    return syscall(SYS_read, fd, bytes, length);
}

CORDON_EXPORT long write(int fd, const void *bytes, size_t length) {
    called++;
    return syscall(SYS_write, fd, bytes, length);
}

CORDON_EXPORT void *realloc(void *memory, size_t size) {
    called++;
    return NULL;
}

static void permitted(const char *data) {
    called = 0;
    done("they are exported");
}

static void deed(const char *data) {
    if (called > 0) {
        done("the worker called them %d times", called);
    } else {
        stopped(ENOENT, "nobody called them");
    }
}
