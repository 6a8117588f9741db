// link: -Wl,-rpath,/var/tmp,--enable-new-dtags
// bend: text@needed=libx.so.6
#include "deed.h"

DEED("needs a library that its search path names, where anybody writes",
     BY("refused", "closure"),
     SAYS("libx.so.6"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
