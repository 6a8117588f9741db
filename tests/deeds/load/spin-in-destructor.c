#include "deed.h"
#include "spin.h"

/* The runner unloads it, and waits no longer than the grace. */
DEED("never ends when it is unloaded", BY("done", "process"))

__attribute__((destructor)) static void late(void) {
#ifdef TWIN
    spin_seconds(0.01);
#else
    spin_seconds(600);
#endif
}

static void permitted(const char *data) {
    done("it ends after 10 ms");
}

static void deed(const char *data) {
    done("it ends after 600 s");
}
