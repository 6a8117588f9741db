#include "deed.h"

DEED("takes the messages that its worker should get",
     BY("deadline (deadline)", "deadline"),
     WITHIN("500ms"))

static void permitted(const char *data) {
    char byte;
    (void)data;
    tell(read(STDIN_FILENO, &byte, 1), "read of stdin");
}

static void deed(const char *data) {
    char bytes[64];
    (void)data;
    tell(read(3, bytes, sizeof bytes), "read of the socket");
}
