/*
 * cordon_plugin.h: the C ABI between Cordon and a plugin. C11 and C++17, ELF targets, no library.
 *
 * A plugin is a shared object that exports one function, cordon_plugin_entry, and carries its
 * manifest in an ELF section (CORDON_MANIFEST). Cordon loads it into a worker process of its own.
 *
 * Memory.  Nothing is freed across this boundary, in either direction.
 *   - What the host passes in (cordon_bytes, context, sink, host table) lives until the function it
 *     was passed to returns, unless said otherwise here. Copy what you keep.
 *   - What the plugin passes in is copied before the host's function returns.
 *   - Results go to a sink, which appends a copy to a buffer of the host's. Never to a pointer.
 *   - A plugin's instance is the plugin's: made by `create`, released by `destroy`.
 * Threads.  With concurrency "serial" (the default) or "pool", an instance sees one call at a time,
 *   always on the same thread. With "threadsafe", `call`, `hook` and `health` of one instance run on
 *   several threads at once. `create`, `snapshot`, `restore`, `shutdown` and `destroy` always run
 *   alone. A context and its sinks belong to the thread and the call they were made for: no use
 *   from other threads, no use after the return.
 * Errors.  A cordon_status; text about it goes to the sink at hand as UTF-8. Exceptions, longjmp and
 *   unwinding must not leave a function of the plugin: the process would be aborted. exit() in a
 *   plugin is treated as a crash.
 * Versions.  The major version must be equal. Tables begin with their size and only ever grow at the
 *   end: use a field only if it lies within `size` (CORDON_HAS). An absent function is NULL.
 */
#ifndef CORDON_PLUGIN_H
#define CORDON_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CORDON_ABI_MAJOR 1
#define CORDON_ABI_MINOR 0
#define CORDON_ABI_VERSION ((uint32_t)((CORDON_ABI_MAJOR << 16) | CORDON_ABI_MINOR))

/* The outcome of a function. Values not listed are read as CORDON_ERROR. */
typedef int32_t cordon_status;
#define CORDON_OK 0
#define CORDON_ERROR 1       /* the plugin's own failure; the text is in the sink */
#define CORDON_NO_METHOD 2   /* no entry point of that name */
#define CORDON_UNSUPPORTED 3 /* the feature, or the snapshot's schema, is not known */
#define CORDON_PANIC 4       /* caught at the entry; the host replaces the instance */
#define CORDON_CANCELLED 5   /* the caller gave up */
#define CORDON_DENIED 6      /* not granted */
#define CORDON_NOT_FOUND 7   /* no such key or service */
#define CORDON_TOO_LARGE 8   /* beyond a limit on sizes */
#define CORDON_INVALID 9     /* malformed input */
#define CORDON_DEADLINE 10   /* the call's time is over */

/* What a hook decided. */
#define CORDON_CONTINUE 0  /* go on; the reply is ignored */
#define CORDON_INTERCEPT 1 /* stop here; the reply is the answer */
#define CORDON_REJECT 2    /* refuse; the reply is the reason, as text */

/* Log levels. */
#define CORDON_LOG_ERROR 1
#define CORDON_LOG_WARN 2
#define CORDON_LOG_INFO 3
#define CORDON_LOG_DEBUG 4
#define CORDON_LOG_TRACE 5

/* A borrowed byte string, not terminated. `data` may be NULL only if `len` is 0. */
typedef struct cordon_bytes {
    const uint8_t *data;
    size_t len;
} cordon_bytes;

/* Where a function puts its result. */
typedef struct cordon_sink {
    size_t size;  /* of this struct as the host knows it */
    void *opaque; /* the host's */
    /* Appends a copy of `bytes`. CORDON_TOO_LARGE: beyond the limit on replies; nothing was
     * appended. There is no way to take back: write a result when it is sure, since the text of
     * an error would follow what is there. Pass the sink you were given, never a copy of it. */
    cordon_status (*write)(struct cordon_sink *sink, cordon_bytes bytes);
} cordon_sink;

struct cordon_host;

/* One call, as its callee sees it. Made by the host, valid until that function returns. */
typedef struct cordon_context {
    size_t size;          /* of this struct as the host knows it */
    uint64_t call_id;     /* unique within the worker; 0 when no caller is behind it */
    uint64_t deadline_ns; /* absolute, CLOCK_MONOTONIC; 0 = none */
    cordon_bytes tenant;  /* caller's identity as the host vouches for it, UTF-8; may be empty */
    cordon_bytes user;
    const struct cordon_host *host; /* never NULL; valid as long as the plugin is loaded */
    void *opaque;                   /* the host's */
} cordon_context;

/*
 * What the host does for a plugin, within the call of the context passed as first argument: the
 * very pointer that was received, not a copy. Every function may block until the supervisor
 * answers, every one is checked against the plugin's grants (CORDON_DENIED) and its limit on
 * messages, and all but log and cancelled end with CORDON_CANCELLED or CORDON_DEADLINE when the
 * call does.
 */
typedef struct cordon_host {
    size_t size;       /* of this table as the host knows it */
    uint32_t abi;      /* the host's CORDON_ABI_VERSION */
    uint32_t reserved; /* 0 */
    uint64_t features; /* optional features that this host has; none are defined yet */
    /* A line of UTF-8 text for the log; CORDON_LOG_*. Never fails: text over the limit is dropped,
     * and counted by the host. */
    void (*log)(const cordon_context *context, uint32_t level, cordon_bytes text);
    /* Appends the value of a key of the shared context to `value`. CORDON_NOT_FOUND: not set. */
    cordon_status (*context_get)(const cordon_context *context, cordon_bytes key,
                                 cordon_sink *value);
    /* Sets a key of the shared context. CORDON_TOO_LARGE: key or value beyond the limit. */
    cordon_status (*context_set)(const cordon_context *context, cordon_bytes key,
                                 cordon_bytes value);
    /* Emits an event to whoever subscribed to it. Returns without waiting for them.
     * CORDON_TOO_LARGE: a name above 256 bytes, or a payload above 4 KiB. */
    cordon_status (*emit)(const cordon_context *context, cordon_bytes name, cordon_bytes payload);
    /* Calls a method of a service and appends its reply (or the text of its error) to `reply`.
     * CORDON_NOT_FOUND: no such service; CORDON_NO_METHOD: it has no such method. */
    cordon_status (*call_service)(const cordon_context *context, cordon_bytes service,
                                  cordon_bytes method, cordon_bytes payload, cordon_sink *reply);
    /* 1 once the call is cancelled or past its deadline, else 0. Cheap enough for an inner loop.
     * A call that goes on regardless is ended with its worker. */
    int32_t (*cancelled)(const cordon_context *context);
} cordon_host;

/*
 * What the plugin does. Static and constant: the host reads it once, after loading. Every function
 * may be NULL: the feature is absent, and calling it gives CORDON_UNSUPPORTED to the caller.
 */
typedef struct cordon_plugin {
    size_t size;                /* sizeof(cordon_plugin) */
    uint32_t abi;               /* CORDON_ABI_VERSION */
    uint32_t reserved;          /* 0 */
    uint64_t required_features; /* a bit that the host lacks refuses the load */
    uint64_t optional_features; /* bits the host does not know are ignored */
    /* Makes an instance from its configuration (bytes; empty if none is given) and stores it in
     * *instance, which is NULL before. Anything but CORDON_OK refuses it: the text is in `error`,
     * and neither `destroy` nor anything else follows. Without `create`, the instance is NULL. */
    cordon_status (*create)(const cordon_context *context, cordon_bytes config, void **instance,
                            cordon_sink *error);
    /* Runs a method and writes its result to `reply`, or with another status than CORDON_OK the
     * text of the error. Method names are UTF-8. */
    cordon_status (*call)(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply);
    /* Looks at an event of the hook `name` and stores CORDON_CONTINUE, _INTERCEPT or _REJECT in
     * *verdict (CORDON_CONTINUE before). With a status other than CORDON_OK the verdict is void. */
    cordon_status (*hook)(void *instance, const cordon_context *context, cordon_bytes name,
                          cordon_bytes payload, uint32_t *verdict, cordon_sink *reply);
    /* Writes the instance's state to `state` and the number of its format to *schema. */
    cordon_status (*snapshot)(void *instance, const cordon_context *context, uint32_t *schema,
                              cordon_sink *state);
    /* Takes over a state. CORDON_UNSUPPORTED: that schema is not known; CORDON_INVALID: malformed.
     * A failed restore leaves an instance that the host destroys. */
    cordon_status (*restore)(void *instance, const cordon_context *context, uint32_t schema,
                             cordon_bytes state);
    /* CORDON_OK: fit to serve. A line about it may go to `detail` either way. */
    cordon_status (*health)(void *instance, const cordon_context *context, cordon_sink *detail);
    /* Last call of an instance, to be done by the context's deadline; `destroy` follows. */
    cordon_status (*shutdown)(void *instance, const cordon_context *context);
    /* Releases the instance. Not called when the process ends by force. */
    void (*destroy)(void *instance);
} cordon_plugin;

#define CORDON_EXPORT __attribute__((visibility("default")))

/* Whether the table `ptr` points at, in the version its maker knows, has the field, and it is set.
 * For fields younger than version 1.0, and for functions, which may be absent. */
#define CORDON_HAS(ptr, type, field) \
    ((ptr)->size >= offsetof(type, field) + sizeof((ptr)->field) && (ptr)->field != 0)

/* The one export, defined by the plugin: its table, or NULL if it refuses a host of this version.
 * Called once, before anything else, on the thread that loaded the plugin. */
CORDON_EXPORT const cordon_plugin *cordon_plugin_entry(uint32_t host_abi);

/* The manifest, TOML in a string literal, once per plugin at file scope:
 *     CORDON_MANIFEST("id = \"sum\"\n"
 *                     "version = \"1.0.0\"\n"
 *                     "abi = \"1.0\"\n");
 * Hosts read it without running any code of the plugin. `retain` holds it through --gc-sections. */
#if defined(__has_attribute)
#if __has_attribute(retain)
#define CORDON_RETAIN_ __attribute__((retain))
#endif
#endif
#ifndef CORDON_RETAIN_
#define CORDON_RETAIN_
#endif
#define CORDON_MANIFEST(text)                                                    \
    CORDON_RETAIN_ __attribute__((used, aligned(1), section(".cordon.manifest"))) \
    static const char cordon_manifest_[] = text

/* Borrows `len` bytes at `data`. */
static inline cordon_bytes cordon_bytes_of(const void *data, size_t len) {
    cordon_bytes bytes;
    bytes.data = (const uint8_t *)data;
    bytes.len = len;
    return bytes;
}

/* Borrows a terminated string, without its terminator. */
static inline cordon_bytes cordon_text(const char *text) {
    return cordon_bytes_of(text, strlen(text));
}

/* Appends `len` bytes at `data` to a sink and returns the sink's status. */
static inline cordon_status cordon_reply(cordon_sink *sink, const void *data, size_t len) {
    return sink->write(sink, cordon_bytes_of(data, len));
}

/* Writes the text to the sink and returns `status`, whatever became of the text. */
static inline cordon_status cordon_fail(cordon_sink *sink, cordon_status status,
                                        const char *text) {
    (void)cordon_reply(sink, text, strlen(text));
    return status;
}

/* 1 if the bytes are exactly those of the terminated string, else 0. */
static inline int cordon_equals(cordon_bytes bytes, const char *text) {
    size_t len = strlen(text);
    return bytes.len == len && (len == 0 || memcmp(bytes.data, text, len) == 0);
}

/* 1 once the call is cancelled or past its deadline, else 0. */
static inline int cordon_cancelled(const cordon_context *context) {
    return CORDON_HAS(context->host, cordon_host, cancelled) &&
           context->host->cancelled(context) != 0;
}

/* Logs a terminated string, if the host has a log. */
static inline void cordon_log(const cordon_context *context, uint32_t level, const char *text) {
    if (CORDON_HAS(context->host, cordon_host, log)) {
        context->host->log(context, level, cordon_text(text));
    }
}

#ifdef __cplusplus
}
#endif

#endif
