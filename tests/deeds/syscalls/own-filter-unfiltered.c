#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "deed.h"

DEED("installs a filter of its own, under a filter that allows it", BY_KILL("seccomp"), UNFILTERED)

static void permitted(const char *data) {
    tell(prctl(PR_SET_NAME, "deed", 0, 0, 0), "prctl(PR_SET_NAME)");
}

static void deed(const char *data) {
    static struct sock_filter allow_all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    static struct sock_fprog program = {.len = 1, .filter = allow_all};
    tell(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "a filter");
}
