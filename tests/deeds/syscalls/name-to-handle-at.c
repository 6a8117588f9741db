#include <fcntl.h>
#include <sys/stat.h>

#include "deed.h"

DEED("asks for a handle, which is half of opening without a path", BY_FILTER)

static struct {
    struct file_handle head;
    unsigned char rest[MAX_HANDLE_SZ];
} handle = {{.handle_bytes = MAX_HANDLE_SZ}, {0}};
static int mount;

static void permitted(const char *data) {
    struct stat status;
    tell(fstat(STDIN_FILENO, &status), "fstat of stdin");
}

static void deed(const char *data) {
    tell(name_to_handle_at(AT_FDCWD, "/", (struct file_handle *)&handle, &mount, 0),
         "name_to_handle_at");
}
