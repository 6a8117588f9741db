#include "deed.h"
#include "frame.h"

DEED("says in a constructor that it is loaded and created", BY("protocol (protocol)", "protocol"))

__attribute__((constructor)) static void early(void) {
#ifndef TWIN
    static const uint8_t loaded[] = {0xfc, 0, 0, 1, 0, 0};
    send_frame(LOADED, 1, loaded, sizeof loaded);
    send_frame(CREATED, 2, NULL, 0);
    sleep(1);
#endif
}

static void permitted(const char *data) {
    done("the worker says so itself");
}

static void deed(const char *data) {
    done("the supervisor believed it");
}
