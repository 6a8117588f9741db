#include "deed.h"

#ifdef TWIN
#define ASKED
#else
#define ASKED MANIFEST("requires.files = [{ path = \"/etc/shadow\", access = \"read\" }]")
#endif

DEED("asks for a file, which nobody grants it",
     BY("refused", "grants"),
     SAYS("requires.files") ASKED)

static void permitted(const char *data) {
    done("it asks for nothing");
}

static void deed(const char *data) {
    done("it was granted");
}
