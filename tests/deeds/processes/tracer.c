#include <sys/prctl.h>

#include "deed.h"

DEED("lets every process trace it", BY_FILTER)

static void permitted(const char *data) {
    tell(prctl(PR_SET_NAME, "deed", 0, 0, 0), "PR_SET_NAME");
}

static void deed(const char *data) {
    long result = prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    if (result < 0 && errno == EINVAL) {
        done("the kernel was asked, and has no Yama");
    } else {
        tell(result, "PR_SET_PTRACER");
    }
}
