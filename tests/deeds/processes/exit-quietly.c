#include "deed.h"

DEED("exits as if all were well", BY("exit 0", "kernel"))

static void permitted(const char *data) {
    done("it stays");
}

static void deed(const char *data) {
    exit(0);
}
