#include "deed.h"
#include "frame.h"

DEED("closes its socket in the middle of a call and lives on",
     BY("protocol (protocol)", "protocol"),
     SAYS("closed its socket"))

static void permitted(const char *data) {
    done("by the worker");
}

static void deed(const char *data) {
    tell(close(IPC), "close of its socket");
    sleep(1);
}
