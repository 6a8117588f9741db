#include "deed.h"
#include "spin.h"

DEED("takes more CPU time than a call may",
     BY("cpu (cpu)", "deadline"),
     POLICY("{ limits = { cpu = \"300ms\" } }"))

static void permitted(const char *data) {
    spin_cpu_seconds(0.05);
    done("50 ms");
}

static void deed(const char *data) {
    spin_cpu_seconds(600);
    done("600 s");
}
