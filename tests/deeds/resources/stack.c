#include "deed.h"

DEED("recurses without end", BY("SIGSEGV", "kernel"))

/* A frame of a kilobyte each. */
__attribute__((noinline)) static int deeper(int more) {
    volatile char frame[1024];
    frame[0] = (char)more;
    return more == 0 ? 0 : deeper(more - 1) + frame[0];
}

static void permitted(const char *data) {
    done("%d", deeper(100));
}

static void deed(const char *data) {
    done("%d", deeper(1 << 30));
}
