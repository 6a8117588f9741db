#include "deed.h"
#include "spin.h"

/* The limit on CPU time must not be met first. */
DEED("never lets the loader come back", BY("deadline (deadline)", "deadline"),
     POLICY("{ limits = { cpu = \"1m\" } }"))

__attribute__((constructor)) static void early(void) {
#ifdef TWIN
    spin_seconds(0.05);
#else
    spin_seconds(20);
#endif
}

static void permitted(const char *data) {
    (void)data;
    done("the loader came back");
}

static void deed(const char *data) {
    permitted(data);
}
