#include "deed.h"

/* It got through if a line of its output has a control character in it: the runner looks. */
DEED("logs a text of two lines, the second as if it were another plugin's", BY("done", "output"))

static void permitted(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "a line of text");
    done("logged");
}

static void deed(const char *data) {
    cordon_log(context_, CORDON_LOG_INFO, "all is well\nother: granted everything");
    done("logged");
}
