// bend: keep=0
#include "deed.h"

DEED("is an empty file", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
