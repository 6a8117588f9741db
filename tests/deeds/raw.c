/*
 * raw.c: makes a plugin of a deed in assembly, which has its manifest and two functions that
 * return as a system call does: a small negative number is an errno.
 */
#include "deed.h"

long raw_permitted(const char *data);
long raw_deed(const char *data);

static void tell_raw(long result, const char *what) {
    if (result < 0 && result > -4096) {
        stopped((int)-result, "%s", what);
    } else {
        done("%s gave %ld", what, result);
    }
}

static void permitted(const char *data) {
    tell_raw(raw_permitted(data), "the permitted call");
}

static void deed(const char *data) {
    tell_raw(raw_deed(data), "the deed's call");
}
