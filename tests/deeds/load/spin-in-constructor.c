#include "deed.h"
#include "spin.h"

/* The limit on CPU time must not be met first. */
DEED("never lets the loader come back",
     BY("deadline (deadline)", "deadline"),
     POLICY("{ limits = { cpu = \"10m\" } }"))

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    spin_seconds(0.05);
#else
    spin_seconds(600);
#endif
}

static void permitted(const char *data) {
    done("the loader came back");
}

static void deed(const char *data) {
    permitted(data);
}
