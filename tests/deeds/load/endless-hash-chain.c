// bend: u32@vaddr:GNU_HASH=0xffffffff
#include "deed.h"

DEED("has a hash table of four billion buckets", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
