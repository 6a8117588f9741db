#include <sched.h>
#include <sys/uio.h>

#include "deed.h"

DEED("reads the memory of process 1", BY_KILL("process_vm_readv") ELSE("EPERM", "kernel"))

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    char bytes[16];
    struct iovec here = {bytes, sizeof bytes}, there = {(void *)&bytes, sizeof bytes};
    tell(process_vm_readv(1, &here, 1, &there, 1, 0), "process_vm_readv");
}
