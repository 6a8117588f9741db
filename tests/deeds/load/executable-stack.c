// bend: u32@ph:STACK+4=7
#include "deed.h"

DEED("asks for a stack that can be executed", BY("refused", "precheck"), SAYS("stack"))

static void permitted(const char *data) {
    done("the whole file loads");
}

static void deed(const char *data) {
    permitted(data);
}
