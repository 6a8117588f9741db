#include <linux/futex.h>

#include "deed.h"

DEED("uses the kernel's own queues of owners of locks, where most exploits of futexes began",
     BY_FILTER)

static void permitted(const char *data) {
    static uint32_t lock;
    tell(syscall(SYS_futex, &lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), "futex(FUTEX_WAKE)");
}

static void deed(const char *data) {
    static uint32_t lock;
    tell(syscall(SYS_futex, &lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0),
         "futex(FUTEX_LOCK_PI)");
}
