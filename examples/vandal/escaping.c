/* Tries to get out of the confinement, or round it. */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "deeds.h"

/* A filter that allows everything. */
static struct sock_filter allow_all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
static struct sock_fprog program = {.len = 1, .filter = allow_all};

/* Tells of a call that gives 0, or an fd, which is closed. */
static void conclude(struct report *report, long result, const char *what) {
    if (result < 0) {
        stopped(report, errno, "%s", what);
        return;
    }
    if (result > STDERR_FILENO) {
        close((int)result);
    }
    done(report, "%s", what);
}

/* Installs a filter of its own: after it, another installation of the host's would be doubtful. */
static void own_filter(struct report *report, const char *data) {
    (void)data;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    conclude(report, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp filter");
}

/* As own_filter, by the older call. */
static void own_filter_by_prctl(struct report *report, const char *data) {
    (void)data;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    conclude(report, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), "prctl filter");
}

/* Becomes its own supervisor: whoever holds the listener answers the notifications. */
static void own_listener(struct report *report, const char *data) {
    (void)data;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    conclude(report,
             syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                     &program),
             "seccomp listener");
}

/* Lays a file system of its own over /tmp. */
static void mount_tmp(struct report *report, const char *data) {
    (void)data;
    conclude(report, mount("none", "/tmp", "tmpfs", 0, NULL), "mount");
}

/* Enters a user namespace of its own, in which it would have every capability. */
static void own_namespace(struct report *report, const char *data) {
    (void)data;
    conclude(report, unshare(CLONE_NEWUSER), "unshare");
}

/* Leaves something in a keyring, which namespaces don't hold. */
static void own_key(struct report *report, const char *data) {
    (void)data;
    if (syscall(SYS_add_key, "user", "vandal", "x", 1, KEY_SPEC_PROCESS_KEYRING) < 0) {
        stopped(report, errno, "add_key");
    } else {
        done(report, "add_key");
    }
}

/* Opens the door round every filter. */
static void io_uring(struct report *report, const char *data) {
    struct io_uring_params parameters = {0};
    (void)data;
    conclude(report, syscall(SYS_io_uring_setup, 1, &parameters), "io_uring_setup");
}

/* Makes a map for programs in the kernel. */
static void bpf_map(struct report *report, const char *data) {
    union bpf_attr attributes = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    (void)data;
    conclude(report, syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes), "bpf");
}

/* A function that returns 42. */
#if defined(__x86_64__)
static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
#elif defined(__aarch64__)
static const unsigned char code[] = {0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6};
#else
#error "no code for this architecture"
#endif

static void run_code(struct report *report, void *at, const char *where) {
    int (*function)(void);
    __builtin___clear_cache((char *)at, (char *)at + sizeof code);
    memcpy(&function, &at, sizeof function);
    done(report, "ran code from %s, which gave %d", where, function());
    munmap(at, sizeof code);
}

/* Runs code from a file that only memory holds, and that nobody has vetted. */
static void memfd_code(struct report *report, const char *data) {
    void *at;
    int fd = memfd_create("vandal", MFD_CLOEXEC);
    (void)data;
    if (fd < 0) {
        stopped(report, errno, "memfd_create");
        return;
    }
    if (write(fd, code, sizeof code) != (ssize_t)sizeof code) {
        stopped(report, errno, "write to the memfd");
    } else if ((at = mmap(NULL, sizeof code, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0)) ==
               MAP_FAILED) {
        stopped(report, errno, "mmap of the memfd");
    } else {
        run_code(report, at, "a memfd");
    }
    close(fd);
}

/* Runs code that it has written to memory. */
static void written_code(struct report *report, const char *data) {
    void *at = mmap(NULL, sizeof code, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)data;
    if (at == MAP_FAILED) {
        stopped(report, errno, "mmap");
        return;
    }
    memcpy(at, code, sizeof code);
    run_code(report, at, "memory");
}

const struct deed escaping[] = {
    {"own-filter", own_filter},     {"own-filter-by-prctl", own_filter_by_prctl},
    {"own-listener", own_listener}, {"mount", mount_tmp},
    {"unshare", own_namespace},     {"keyctl", own_key},
    {"io-uring", io_uring},         {"bpf", bpf_map},
    {"memfd-exec", memfd_code},     {"written-exec", written_code},
    {NULL, NULL},
};
