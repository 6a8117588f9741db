#include "deed.h"

#ifdef TWIN
#define ASKED
#else
#define ASKED MANIFEST("trusted = true")
#endif

DEED("has a manifest with a field that nobody knows",
     BY("refused", "manifest"),
     SAYS("trusted") ASKED)

static void permitted(const char *data) {
    done("it asks for nothing");
}

static void deed(const char *data) {
    done("it was taken");
}
