#include "deed.h"

/* Without the controls it is refused by kernels that are built without this. */
DEED("removes a module from the kernel", BY_KILL("delete_module"), THROUGH("ENOSYS"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_delete_module, "no_such_module", 0), "delete_module");
}
