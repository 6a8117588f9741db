// bend: u64@32=0xffffffffffffff00
#include "deed.h"

DEED("says that its program headers lie beyond every file", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
