// bend: text@needed=/tmp/so.6
#include "deed.h"

DEED("needs a library by its path", BY("refused", "closure"), SAYS("/tmp/so.6"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
