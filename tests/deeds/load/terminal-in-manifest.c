#include "deed.h"

#ifdef TWIN
#define ASKED
#else
#define ASKED MANIFEST("author = \"\\u001b[2Jroot\"")
#endif

DEED("has a manifest that clears the terminal on which it is read",
     BY("refused", "manifest"),
     SAYS("author") ASKED)

static void permitted(const char *data) {
    done("it asks for nothing");
}

static void deed(const char *data) {
    done("it was taken");
}
