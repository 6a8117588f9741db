/*
 * deflate: compresses and expands with the system's zlib (RFC 1950 streams).
 *
 * No state: there is neither `create` nor `destroy`, and every instance is NULL. The manifest says
 * "threadsafe" for the same reason.
 */
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"deflate\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "author = \"The Cordon project\"\n"
                "description = \"Compresses and expands with zlib\"\n"
                "concurrency = \"threadsafe\"\n"
                "methods = [\"compress\", \"expand\"]\n"
                "[limits]\n"
                "heap = \"50MB\"\n"
                "cpu = \"1000ms\"\n");

enum {
    SLICE = 64 * 1024,             /* of output between two looks at the cancellation */
    EXPANDED_MAX = 8 * 1024 * 1024 /* what `expand` gives at most: input may be a zip bomb */
};

typedef int (*step)(z_stream *stream, int flush);

/* Runs a stream to its end, slice by slice, into the `room` bytes at `out`. */
static cordon_status run(z_stream *stream, step next, const cordon_context *context,
                         unsigned char *out, uLong room, cordon_sink *reply) {
    int result = Z_OK;
    stream->next_out = out;
    while (result != Z_STREAM_END) {
        uLong left = room - stream->total_out;
        if (cordon_cancelled(context)) {
            return cordon_fail(reply, CORDON_CANCELLED, "cancelled");
        }
        if (left == 0) {
            return cordon_fail(reply, CORDON_TOO_LARGE, "expands to 8 MiB or more");
        }
        stream->avail_out = left < SLICE ? (uInt)left : SLICE;
        result = next(stream, Z_FINISH);
        /* With Z_FINISH, Z_BUF_ERROR means a full slice, or that input is missing. */
        if (result != Z_STREAM_END && result != Z_OK && result != Z_BUF_ERROR) {
            return cordon_fail(reply, CORDON_INVALID, stream->msg ? stream->msg : "zlib failed");
        }
        if (result != Z_STREAM_END && stream->avail_out != 0) {
            return cordon_fail(reply, CORDON_INVALID, "the stream ends too early");
        }
    }
    return cordon_reply(reply, out, stream->total_out);
}

/* As `run`, with memory of its own for the output. */
static cordon_status run_allocated(z_stream *stream, step next, const cordon_context *context,
                                   uLong room, cordon_sink *reply) {
    unsigned char *out = malloc(room);
    if (out == NULL) {
        return cordon_fail(reply, CORDON_ERROR, "no memory for the output");
    }
    cordon_status status = run(stream, next, context, out, room, reply);
    free(out);
    return status;
}

static cordon_status compress_payload(const cordon_context *context, z_stream *stream,
                                      cordon_sink *reply) {
    if (deflateInit(stream, Z_DEFAULT_COMPRESSION) != Z_OK) {
        return cordon_fail(reply, CORDON_ERROR, "no memory for a compressor");
    }
    uLong room = deflateBound(stream, stream->avail_in);
    cordon_status status = run_allocated(stream, deflate, context, room, reply);
    deflateEnd(stream);
    return status;
}

static cordon_status expand_payload(const cordon_context *context, z_stream *stream,
                                    cordon_sink *reply) {
    if (inflateInit(stream) != Z_OK) {
        return cordon_fail(reply, CORDON_ERROR, "no memory for an expander");
    }
    cordon_status status = run_allocated(stream, inflate, context, EXPANDED_MAX, reply);
    inflateEnd(stream);
    return status;
}

static cordon_status call(void *instance, const cordon_context *context, cordon_bytes method,
                          cordon_bytes payload, cordon_sink *reply) {
    z_stream stream = {0};
    (void)instance;
    if (payload.len > UINT_MAX) {
        return cordon_fail(reply, CORDON_TOO_LARGE, "more than 4 GiB");
    }
    stream.next_in = (z_const Bytef *)payload.data;
    stream.avail_in = (uInt)payload.len;
    if (cordon_equals(method, "compress")) {
        return compress_payload(context, &stream, reply);
    }
    if (cordon_equals(method, "expand")) {
        return expand_payload(context, &stream, reply);
    }
    return CORDON_NO_METHOD;
}

static const cordon_plugin plugin = {
    .size = sizeof(cordon_plugin),
    .abi = CORDON_ABI_VERSION,
    .call = call,
};

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    return host_abi >> 16 == CORDON_ABI_MAJOR ? &plugin : NULL;
}
