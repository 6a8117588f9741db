#include "deed.h"
#include "spin.h"

/* The limit on CPU time must not be met first. */
DEED("goes on when its call's time is over",
     BY("deadline (deadline)", "deadline"),
     WITHIN("300ms") POLICY("{ limits = { cpu = \"10m\" } }"))

static void permitted(const char *data) {
    spin_seconds(0.05);
    done("50 ms");
}

static void deed(const char *data) {
    spin_seconds(600);
    done("600 s");
}
