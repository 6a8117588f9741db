// bend: u16@18=0xf3
#include "deed.h"

DEED("is a program of another machine", BY("refused", "precheck"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
