// bend: u64@sh:.cordon.manifest+32=0x1000000000000000
#include "deed.h"

DEED("says that its manifest has exabytes", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
