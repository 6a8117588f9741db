#include "deed.h"

DEED("aborts", BY("SIGABRT", "kernel"))

static void permitted(const char *data) {
    done("it stays");
}

static void deed(const char *data) {
    abort();
}
