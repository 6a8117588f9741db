// bend: u64@dyn:STRTAB=0x7fffffffff00
#include "deed.h"

DEED("says that its names lie beyond its file", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
