#include "deed.h"

/* Without the controls it is refused by kernels that are built without this. */
DEED("replaces the kernel", BY_KILL("kexec_load"), THROUGH("ENOSYS"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(syscall(SYS_kexec_load, 0, 0, NULL, 0), "kexec_load");
}
