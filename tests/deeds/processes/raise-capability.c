#include <linux/capability.h>

#include "deed.h"

DEED("gives itself a capability", BY_FILTER ELSE("EPERM", "capabilities"))

static void permitted(const char *data) {
    tell(geteuid(), "geteuid");
}

static void deed(const char *data) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{0}};
    sets[0].permitted = sets[0].effective = 1u << CAP_SYS_ADMIN;
    tell(syscall(SYS_capset, &head, sets), "capset");
}
