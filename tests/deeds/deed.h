/*
 * deed.h: what every deed of the hostile suite includes. One file is one plugin is one deed.
 *
 *     #include "deed.h"
 *     DEED("reads the password hashes of the host", BY_FILTER ELSE("ENOENT", "root"))
 *
 *     static void permitted(const char *data) { ... }   the nearest act that a plugin may do
 *     static void deed(const char *data) { ... }        one step beyond
 *
 * Both end with done() or stopped(), or with tell(), which is one of the two. README.md has the
 * words of DEED. A deed that gets through must do no harm, since tests take controls away: loops
 * are bounded, children die after seconds, signals have the number 0, and nothing is written but
 * to the file that the runner names.
 */
#ifndef CORDON_DEED_H
#define CORDON_DEED_H

/* What else there is to say of a deed, after its two sentences, in any order. */
#define DATA(text) "metadata.data = \"" text "\"\n"
#define THROUGH(how) "metadata.through = \"" how "\"\n"
#define PRINTED(text) "metadata.printed = \"" text "\"\n"
#define SAYS(text) "metadata.says = \"" text "\"\n"
#define WITHIN(time) "metadata.within = \"" time "\"\n"
#define POLICY(table) "metadata.policy = '" table "'\n"
#define MANIFEST(toml) toml "\n"
/* Under the widest filter that there is: what stops the deed is another wall. */
#define UNFILTERED "metadata.filter = \"permissive\"\n"

/* How it is stopped, and by what. */
#define ELSE(how, control) ", else " how " by " control
#define BY(how, control) how " by " control
/* It takes a capability, which it has neither here nor, with its id, over what isn't its own. */
#define ELSE_NO_RIGHTS ELSE("EPERM", "ids") ELSE("EPERM", "capabilities")
#define BY_FILTER BY("EPERM (denied-syscall)", "seccomp")
#define BY_KILL(syscall) BY("kill " syscall " (denied-syscall)", "seccomp")

#define DEED_MANIFEST_(sentence, how)                   \
    "id = \"" DEED_ID "\"\n"                            \
    "version = \"1.0.0\"\n"                             \
    "abi = \"1.0\"\n"                                   \
    "methods = [\"permitted\", \"deed\"]\n"             \
    "metadata.deed = \"" sentence "\"\n"                \
    "metadata.stopped = \"" how "\"\n"

#ifdef __ASSEMBLER__

#define DEED(sentence, how, ...)                        \
    .pushsection .cordon.manifest, "a", @progbits;      \
    .ascii DEED_MANIFEST_(sentence, how) __VA_ARGS__;   \
    .popsection

#else

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cordon_plugin.h"

#define DEED(sentence, how, ...) CORDON_MANIFEST(DEED_MANIFEST_(sentence, how) __VA_ARGS__);

#define UNUSED_ __attribute__((unused))

/* `data` is what DATA says, with the runner's places for those that it names. */
static void permitted(const char *data);
static void deed(const char *data);

/* The host, for the call that runs. */
static const cordon_context *context_ UNUSED_;

static char reply_[512];

/* It was done; printf(3)-like, what. */
__attribute__((format(printf, 1, 2))) UNUSED_ static void done(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    strcpy(reply_, "DONE: ");
    vsnprintf(reply_ + 6, sizeof reply_ - 6, format, arguments);
    va_end(arguments);
}

/* It was refused with this errno; printf(3)-like, what. */
__attribute__((format(printf, 2, 3))) UNUSED_ static void stopped(int error, const char *format,
                                                                   ...) {
    const char *name = strerrorname_np(error);
    int used = snprintf(reply_, sizeof reply_, "STOPPED: %s ", name ? name : "?");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply_ + used, sizeof reply_ - (size_t)used, format, arguments);
    va_end(arguments);
}

/* How a call went that gives -1 and sets errno, or anything else. */
UNUSED_ static void tell(long result, const char *what) {
    if (result == -1) {
        stopped(errno, "%s", what);
    } else {
        done("%s gave %ld", what, result);
    }
}

/* Its data as a number. */
UNUSED_ static long number(const char *data) {
    return strtol(data, NULL, 10);
}

static cordon_status call_(void *instance, const cordon_context *context, cordon_bytes method,
                           cordon_bytes payload, cordon_sink *reply) {
    char data[256] = "";
    (void)instance;
    if (payload.len >= sizeof data) {
        return cordon_fail(reply, CORDON_TOO_LARGE, "a deed's data has at most 255 bytes");
    }
    if (payload.len > 0) {
        memcpy(data, payload.data, payload.len);
    }
    context_ = context;
    if (cordon_equals(method, "permitted")) {
        strcpy(reply_, "");
        permitted(data);
    } else if (cordon_equals(method, "deed")) {
        deed(data);
    } else {
        return CORDON_NO_METHOD;
    }
    return cordon_reply(reply, reply_, strlen(reply_));
}

static const cordon_plugin plugin_ = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .call = call_,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    return host_abi >> 16 == CORDON_ABI_MAJOR ? &plugin_ : NULL;
}

#endif
#endif
