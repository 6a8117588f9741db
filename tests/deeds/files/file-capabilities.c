#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "deed.h"

DEED("gives a file of the host capabilities",
     BY_FILTER ELSE("ENOENT", "root") ELSE("EACCES", "ids") ELSE("EPERM", "capabilities"),
     DATA("{secret}"))

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    struct vfs_cap_data rights = {
        .magic_etc = VFS_CAP_REVISION_2,
        .data = {{.permitted = 1u << CAP_NET_RAW}},
    };
    tell(setxattr(data, "security.capability", &rights, sizeof rights, 0), "setxattr");
}
