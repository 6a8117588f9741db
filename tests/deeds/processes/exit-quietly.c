#include "deed.h"

DEED("exits as if all were well", BY("exit 0", "kernel"))

static void permitted(const char *data) {
    (void)data;
    done("it stays");
}

static void deed(const char *data) {
    (void)data;
    exit(0);
}
