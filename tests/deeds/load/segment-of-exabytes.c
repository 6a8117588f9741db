// bend: u64@ph:LOAD.3+40=0x1000000000000000
#include "deed.h"

DEED("asks for more memory than there is, in its headers", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
