#include "deed.h"

#ifdef TWIN
#define ASKED MANIFEST("requires.net = \"isolated\"")
#else
#define ASKED MANIFEST("requires.net = \"full\"")
#endif

DEED("asks for the network of the host, which nobody grants it",
     BY("refused", "grants"),
     SAYS("requires.net") ASKED)

static void permitted(const char *data) {
    done("it asks for nothing");
}

static void deed(const char *data) {
    done("it was granted");
}
