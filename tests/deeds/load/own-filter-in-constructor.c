#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "deed.h"

DEED("installs a filter of its own in a constructor, before the host could install one",
     BY_KILL("seccomp"))

static int error = -1;

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    error = prctl(PR_SET_NAME, "deed", 0, 0, 0) != 0 ? errno : 0;
#else
    static struct sock_filter allow_all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    static struct sock_fprog program = {.len = 1, .filter = allow_all};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    error = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0 ? errno : 0;
#endif
}

static void tell_early(const char *what) {
    if (error != 0) {
        stopped(error, "%s", what);
    } else {
        done("%s", what);
    }
}

static void permitted(const char *data) {
    tell_early("prctl(PR_SET_NAME)");
}

static void deed(const char *data) {
    tell_early("a filter");
}
