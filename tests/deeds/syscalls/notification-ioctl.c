#include <linux/seccomp.h>
#include <sys/ioctl.h>

#include "deed.h"

DEED("answers notifications itself", BY_KILL("ioctl"), THROUGH("ENOTTY"))

static struct seccomp_notif notification;

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(ioctl(3, SECCOMP_IOCTL_NOTIF_RECV, &notification), "ioctl(SECCOMP_IOCTL_NOTIF_RECV)");
}
