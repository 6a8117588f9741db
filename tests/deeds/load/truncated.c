// bend: keep=4096
#include "deed.h"

DEED("is a file that ends within its first segment", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
