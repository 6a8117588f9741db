#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>

#include "deed.h"

DEED("opens a file by a handle, past every folder above it",
     BY_KILL("open_by_handle_at") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    struct {
        struct file_handle head;
        unsigned char bytes[MAX_HANDLE_SZ];
    } handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    int mount_id, fd, folder = open("/lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    name_to_handle_at(AT_FDCWD, "/lib/libc.so.6", &handle.head, &mount_id, 0);
    fd = open_by_handle_at(folder, &handle.head, O_RDONLY | O_CLOEXEC);
    tell(fd, "open_by_handle_at");
    close(fd);
}
