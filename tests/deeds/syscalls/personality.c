#include <sys/personality.h>

#include "deed.h"

DEED("asks that whatever is readable can be executed", BY_KILL("personality"))

static void permitted(const char *data) {
    tell(getpid(), "getpid");
}

static void deed(const char *data) {
    tell(personality(READ_IMPLIES_EXEC), "personality");
}
