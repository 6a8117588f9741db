// bend: u64@dyn:RELA=0x7fffffffff00
#include "deed.h"

DEED("has relocations where nothing is mapped", BY("SIGSEGV", "process"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
