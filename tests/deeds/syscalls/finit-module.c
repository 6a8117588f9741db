#include "deed.h"

/* Without the controls it is refused by kernels that are built without this. */
DEED("adds a module to the kernel from an open file", BY_KILL("finit_module"), THROUGH("ENOSYS"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_finit_module, STDIN_FILENO, "", 0), "finit_module");
}
