#include <sys/uio.h>

#include "deed.h"

/* Nothing is mapped at 4096: who may write there is told so. */
DEED("writes to the memory of the supervisor",
     BY_KILL("process_vm_writev") ELSE("ESRCH", "pid") ELSE("EPERM", "landlock") ELSE_NO_RIGHTS,
     DATA("{pid}") THROUGH("EFAULT"))

static void permitted(const char *data) {
    tell(write(STDOUT_FILENO, "x\n", 2), "write to stdout");
}

static void deed(const char *data) {
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)4096, 1};
    tell(process_vm_writev((pid_t)number(data), &here, 1, &there, 1, 0), "process_vm_writev");
}
