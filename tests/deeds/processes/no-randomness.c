#include <sched.h>
#include <sys/personality.h>

#include "deed.h"

DEED("asks for addresses that can be guessed", BY_KILL("personality"))

static void permitted(const char *data) {
    tell(sched_yield(), "sched_yield");
}

static void deed(const char *data) {
    tell(personality(ADDR_NO_RANDOMIZE), "personality");
}
