// bend: u64@ph:LOAD.1+8=0x7ffffffff000
#include "deed.h"

DEED("has a segment that lies beyond its file", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
