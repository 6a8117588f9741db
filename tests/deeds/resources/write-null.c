#include "deed.h"

DEED("writes to address 0", BY("SIGSEGV", "kernel"))

static void permitted(const char *data) {
    volatile int somewhere = 0;
    somewhere = 1;
    done("%d", somewhere);
}

static void deed(const char *data) {
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}
