// bend: u16@16=2
#include "deed.h"

DEED("is no library", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
