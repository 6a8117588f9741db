#include "deed.h"

#ifdef TWIN
#define ASKED MANIFEST("requires.processes = false")
#else
#define ASKED MANIFEST("requires.processes = true")
#endif

DEED("asks for processes, which nobody grants it",
     BY("refused", "grants"),
     SAYS("requires.processes") ASKED)

static void permitted(const char *data) {
    done("it asks for nothing");
}

static void deed(const char *data) {
    done("it was granted");
}
