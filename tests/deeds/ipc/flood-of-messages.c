#include "deed.h"
#include "frame.h"

DEED("floods the host with messages",
     BY("protocol (protocol)", "protocol"),
     SAYS("floods") WITHIN("30s") POLICY("{ limits = { cpu = \"30s\" } }"))

static void permitted(const char *data) {
    for (int i = 0; i < 100; i++) {
        cordon_log(context_, CORDON_LOG_INFO, "x");
    }
    done("a hundred messages");
}

static void deed(const char *data) {
    for (int i = 0; i < 2000000; i++) {
        cordon_log(context_, CORDON_LOG_INFO, "x");
    }
    done("two million messages");
}
