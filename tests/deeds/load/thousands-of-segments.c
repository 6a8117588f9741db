// bend: u16@56=0xffff
#include "deed.h"

DEED("says that it has 65,535 program headers", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
