// bend: keep=64
#include "deed.h"

DEED("is a file of one ELF header", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
