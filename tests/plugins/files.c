/*
 * Does with files what its caller asks, and replies with what came of it: a text, or the name of
 * the errno. Its manifest is the sidecar files.toml.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cordon_plugin.h"

enum { BLOCK = 64 * 1024, MOST = 1024 };

/* The reply of a method that got through, if it has one. */
static char text[4096];

static int open_and_close(const char *path, int flags, mode_t mode) {
    int fd = open(path, flags | O_CLOEXEC, mode);
    return fd < 0 ? -1 : close(fd);
}

static int read_file(const char *path, const char *none) {
    (void)none;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return length < 0 ? -1 : 0;
}

static int write_file(const char *path, const char *content) {
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t written = write(fd, content, strlen(content));
    return close(fd) < 0 || written < 0 ? -1 : 0;
}

static int create(const char *path, const char *none) {
    (void)none;
    return open_and_close(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static int make_folder(const char *path, const char *none) {
    (void)none;
    return mkdir(path, 0700);
}

static int remove_file(const char *path, const char *none) {
    (void)none;
    return unlink(path);
}

static int remove_folder(const char *path, const char *none) {
    (void)none;
    return rmdir(path);
}

/* Type, permissions and owner, as the plugin sees them. */
static int tell(const char *path, const char *none) {
    (void)none;
    struct stat stat;
    if (lstat(path, &stat) < 0) {
        return -1;
    }
    snprintf(text, sizeof text, "%o %u:%u", stat.st_mode, stat.st_uid, stat.st_gid);
    return 0;
}

static int change_mode(const char *path, const char *mode) {
    return chmod(path, (mode_t)strtoul(mode, NULL, 8));
}

static int give_away(const char *path, const char *owner) {
    return chown(path, (uid_t)atol(owner), (gid_t)-1);
}

/* Nodes that anybody may open would be devices of the host. */
static int make_device(const char *path, const char *none) {
    (void)none;
    return mknod(path, S_IFCHR | 0666, makedev(1, 3));
}

static int make_fifo(const char *path, const char *none) {
    (void)none;
    return mkfifo(path, 0600);
}

/* cap_setuid for whoever executes it: struct vfs_cap_data, revision 2. */
static int add_capability(const char *path, const char *none) {
    static const unsigned capability[5] = {0x02000001, 1 << 7, 0, 0, 0};
    (void)none;
    return setxattr(path, "security.capability", capability, sizeof capability, 0);
}

static int map_code(const char *path, const char *none) {
    (void)none;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    int error = errno;
    close(fd);
    errno = error;
    return code == MAP_FAILED ? -1 : 0;
}

/* Writes until it can't. */
static int fill(const char *path, const char *none) {
    static char block[BLOCK];
    (void)none;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int blocks = 0;
    while (fd >= 0 && blocks < MOST && write(fd, block, sizeof block) == (ssize_t)sizeof block) {
        blocks++;
    }
    int error = errno;
    snprintf(text, sizeof text, "%d %s", blocks, blocks < MOST ? strerrorname_np(error) : "all");
    return fd < 0 ? -1 : close(fd);
}

/* Makes files until it can't. */
static int litter(const char *folder, const char *none) {
    (void)none;
    int files = 0;
    for (; files < MOST; files++) {
        char path[512];
        snprintf(path, sizeof path, "%s/litter-%d", folder, files);
        if (open_and_close(path, O_WRONLY | O_CREAT | O_EXCL, 0600) < 0) {
            break;
        }
    }
    snprintf(text, sizeof text, "%d %s", files, files < MOST ? strerrorname_np(errno) : "all");
    return 0;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(const char *folder, const char *none) {
    char *names[64];
    size_t count = 0;
    (void)none;
    DIR *open = opendir(folder);
    if (open == NULL) {
        return -1;
    }
    for (struct dirent *entry; count < 64 && (entry = readdir(open)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            names[count++] = strdup(entry->d_name);
        }
    }
    closedir(open);
    qsort(names, count, sizeof *names, compare);
    for (size_t i = 0, used = 0; i < count && used < sizeof text; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", names[i]);
        free(names[i]);
    }
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const char *path, const char *second);
} methods[] = {
    {"read", read_file},      {"write", write_file}, {"create", create},
    {"mkdir", make_folder},   {"unlink", remove_file}, {"rmdir", remove_folder},
    {"rename", rename},       {"link", link},        {"symlink", symlink},
    {"stat", tell},           {"chmod", change_mode}, {"chown", give_away},
    {"mknod", make_device},   {"mkfifo", make_fifo}, {"capability", add_capability},
    {"map-code", map_code},   {"fill", fill},        {"litter", litter},
    {"list", list},
};

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    char path[512] = "";
    (void)instance, (void)context;
    if (payload.len >= sizeof path) {
        return CORDON_INVALID;
    }
    if (payload.len > 0) {
        memcpy(path, payload.data, payload.len);
    }
    char *second = strchr(path, ' ');
    if (second != NULL) {
        *second++ = '\0';
    }
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (cordon_equals(method, methods[i].name)) {
            memset(text, 0, sizeof text);
            if (methods[i].run(path, second != NULL ? second : "") < 0) {
                snprintf(text, sizeof text, "%s", strerrorname_np(errno));
            }
            return cordon_reply(reply, text, strlen(text));
        }
    }
    return CORDON_NO_METHOD;
}

static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .call = call,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    (void)host_abi;
    return &plugin;
}
