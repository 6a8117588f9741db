// bend: text@needed=../c.so.6
#include "deed.h"

DEED("needs a library by a path with two dots", BY("refused", "closure"), SAYS("../c.so.6"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
