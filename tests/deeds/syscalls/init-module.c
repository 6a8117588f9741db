#include "deed.h"

/* Without the controls it is refused by kernels that are built without this. */
DEED("adds a module to the kernel", BY_KILL("init_module"), THROUGH("ENOSYS"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_init_module, NULL, 0, ""), "init_module");
}
