#include <fcntl.h>
#include <mqueue.h>
#include <sys/mman.h>

#include "deed.h"

DEED("makes a message queue with a name",
     BY_FILTER ELSE("EMFILE", "rlimits") ELSE("EACCES", "landlock"))

static void permitted(const char *data) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tell(page == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

static void deed(const char *data) {
    mqd_t queue = mq_open("/deed", O_RDWR | O_CREAT | O_CLOEXEC, 0600, NULL);
    tell(queue, "mq_open");
    mq_unlink("/deed");
}
