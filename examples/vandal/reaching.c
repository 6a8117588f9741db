/* Reaches for files, processes and the network of the host. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deeds.h"

/* Reads the password hashes; the reply tells how many bytes came, not which. */
static void open_shadow(struct report *report, const char *data) {
    char bytes[64];
    ssize_t length;
    int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
    (void)data;
    if (fd < 0) {
        stopped(report, errno, "open /etc/shadow");
        return;
    }
    length = read(fd, bytes, sizeof bytes);
    if (length < 0) {
        stopped(report, errno, "read /etc/shadow");
    } else {
        done(report, "read %zd bytes of /etc/shadow", length);
    }
    close(fd);
}

/* Whether a name in / is one of a worker's own. */
static int is_own(const char *name) {
    static const char *const own[] = {".", "..", "dev", "lib", "lib64", "plugin", "tmp", "usr"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(name, own[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Looks for any file of the host: by well-known names, then in the list of /. */
static void see_host(struct report *report, const char *data) {
    static const char *const files[] = {"/etc/hostname", "/etc/passwd", "/bin/sh", "/root",
                                        "/home",         "/var",        "/proc",   "/sys"};
    struct stat status;
    struct dirent *entry;
    DIR *folder;
    (void)data;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (stat(files[i], &status) == 0) {
            done(report, "%s is there", files[i]);
            return;
        }
        stopped(report, errno, "stat %s", files[i]);
        if (errno != ENOENT) {
            return;
        }
    }
    folder = opendir("/");
    if (folder == NULL) {
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (!is_own(entry->d_name)) {
            done(report, "/%s is there", entry->d_name);
            break;
        }
    }
    closedir(folder);
}

/* As see_host, by a call that looks like fstat(2) to a filter: with an absolute path the kernel
 * ignores both the fd and AT_EMPTY_PATH. */
static void see_host_as_fstat(struct report *report, const char *data) {
    struct stat status;
    (void)data;
    if (fstatat(STDIN_FILENO, "/etc/hostname", &status, AT_EMPTY_PATH) == 0) {
        done(report, "/etc/hostname is there");
    } else {
        stopped(report, errno, "fstatat /etc/hostname");
    }
}

/* Creates the file that `data` names. */
static void write_outside(struct report *report, const char *data) {
    const char *path = *data != '\0' ? data : "/evil";
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        stopped(report, errno, "create %s", path);
        return;
    }
    done(report, "created %s", path);
    close(fd);
}

/* Connects to the TCP port of the host that `data` names. */
static void connect_host(struct report *report, const char *data) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        stopped(report, errno, "socket");
        return;
    }
    address.sin_port = htons((uint16_t)number(data, 22));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        done(report, "connected to port %d", ntohs(address.sin_port));
    } else {
        stopped(report, errno, "connect to port %d", ntohs(address.sin_port));
    }
    close(fd);
}

/* Becomes a shell, which then says so: a deed that got through has no reply. */
static void execute(struct report *report, const char *data) {
    static char *const arguments[] = {"sh", "-c", "echo the vandal runs a shell", NULL};
    static char *const environment[] = {NULL};
    (void)data;
    execve("/bin/sh", arguments, environment);
    stopped(report, errno, "execve /bin/sh");
}

/* Looks whether it could kill everybody. Signal 0 asks for the right and sends nothing. */
static void kill_all(struct report *report, const char *data) {
    (void)data;
    if (kill(-1, 0) == 0) {
        done(report, "may signal every process");
    } else {
        stopped(report, errno, "kill(-1)");
    }
}

/* As kill_all, for the one process that `data` names. */
static void kill_one(struct report *report, const char *data) {
    pid_t process = (pid_t)number(data, 1);
    if (kill(process, 0) == 0) {
        done(report, "may signal process %d", process);
    } else {
        stopped(report, errno, "kill(%d)", process);
    }
}

/* Takes control of its parent, without stopping it; the kernel lets go when this process ends. */
static void ptrace_parent(struct report *report, const char *data) {
    pid_t parent = getppid();
    (void)data;
    if (ptrace(PTRACE_SEIZE, parent, NULL, NULL) == 0) {
        done(report, "traces process %d", parent);
    } else {
        stopped(report, errno, "ptrace of process %d", parent);
    }
}

const struct deed reaching[] = {
    {"open-shadow", open_shadow},
    {"see-host", see_host},
    {"see-host-as-fstat", see_host_as_fstat},
    {"write-outside", write_outside},
    {"connect-host", connect_host},
    {"execve", execute},
    {"kill-all", kill_all},
    {"kill-one", kill_one},
    {"ptrace-parent", ptrace_parent},
    {NULL, NULL},
};
