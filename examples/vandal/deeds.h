/*
 * The deeds of the vandal: each tries one thing that no plugin may, and tells how it went.
 *
 * Whatever gets through must do no harm, since tests run the deeds with controls taken away: loops
 * are bounded, children die with their parent and after seconds, signals have the number 0, and
 * nothing is written but to the path that the test names.
 */
#ifndef VANDAL_DEEDS_H
#define VANDAL_DEEDS_H

#include <errno.h>
#include <stddef.h>

/* The reply of one deed: "DONE: …", or "STOPPED: ERRNO …" where the kernel said no. */
struct report {
    char text[512];
};

/* It got through; printf(3)-like, what was reached. */
void done(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* It was stopped with this errno; printf(3)-like, what was tried. */
void stopped(struct report *report, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Its parameter as a number, or what is given for the want of one. */
long number(const char *data, long otherwise);

struct deed {
    const char *name;
    /* `data` is the call's payload as a string. Not every deed returns. */
    void (*run)(struct report *report, const char *data);
};

/* Each ends with an entry without a name. */
extern const struct deed reaching[];   /* for files, processes and the network of the host */
extern const struct deed exhausting[]; /* what the host has */
extern const struct deed escaping[];   /* from the confinement itself */
extern const struct deed misbehaving[]; /* towards the supervisor */

/* The deed of that name, or NULL. */
const struct deed *find_deed(const char *name, size_t length);

#endif
