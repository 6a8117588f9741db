// bend: u32@ph:LOAD.1+4=7
#include "deed.h"

DEED("has code that can be written", BY("refused", "precheck"), SAYS("writ"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
