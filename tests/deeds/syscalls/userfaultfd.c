#include <sys/mman.h>

#include "deed.h"

DEED("answers page faults itself, which holds the kernel up at will", BY_KILL("userfaultfd"))

static void permitted(const char *data) {
    tell(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
             ? -1 : 0, "mmap of data");
}

static void deed(const char *data) {
    tell(syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */), "userfaultfd");
}
