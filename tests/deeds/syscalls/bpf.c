#include <linux/bpf.h>

#include "deed.h"

DEED("makes a map for programs in the kernel", BY_KILL("bpf") ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    void *memory = malloc(4096);
    tell(memory == NULL ? -1 : 0, "malloc");
    free(memory);
}

static void deed(const char *data) {
    union bpf_attr attributes = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    tell(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes), "bpf");
}
