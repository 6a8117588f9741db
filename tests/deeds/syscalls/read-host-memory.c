#include <sys/uio.h>

#include "deed.h"

/* Nothing is mapped at 4096: who may read there is told so. */
DEED("reads the memory of the supervisor",
     BY_KILL("process_vm_readv") ELSE("ESRCH", "pid") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS,
     DATA("{pid}") THROUGH("EFAULT"))

static void permitted(const char *data) {
    char byte;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)4096, 1};
    tell(process_vm_readv((pid_t)number(data), &here, 1, &there, 1, 0), "process_vm_readv");
}
