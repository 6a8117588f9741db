// bend: u64@dyn:30=0xc
#include "deed.h"

DEED("has the loader change its code", BY("refused", "precheck"), SAYS("relocation"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
