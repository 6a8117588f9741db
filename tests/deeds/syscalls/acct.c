#include "deed.h"

DEED("switches the host's accounting of processes off", BY_FILTER ELSE_NO_RIGHTS)

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(acct(NULL), "acct");
}
