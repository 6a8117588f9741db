// bend: u64@ph:LOAD.1+16=0
#include "deed.h"

DEED("has segments that overlap", BY("refused", "precheck"), SAYS("overlaps"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
