/*
 * frame.h: frames on the worker's socket, as the worker itself would send them.
 * ipc-proto/src/frame.rs has the header, ipc-proto/src/message.rs the kinds.
 */
#ifndef CORDON_FRAME_H
#define CORDON_FRAME_H

#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum kind {
    HELLO = 0x81,
    READY = 0x82,
    SETUP_FAILED = 0x83,
    LOADED = 0x84,
    LOAD_FAILED = 0x85,
    CREATED = 0x86,
    REPLY = 0x87,
    LOG = 0x88,
    HOST_CALL = 0x89,
    LISTENER = 0x8a,
};

#define IPC 3
#define HEADER 24

/* A header as it is on the wire; little-endian, as both architectures are. */
static inline void put_header(uint8_t *at, uint32_t length, uint8_t kind, uint64_t call) {
    memset(at, 0, HEADER);
    memcpy(at, &length, sizeof length);
    at[4] = kind;
    memcpy(at + 8, &call, sizeof call);
}

/* Sends a frame whole; its body is at most 4 KiB. 0, or -1 as write(2) fails. */
static inline int send_frame(enum kind kind, uint64_t call, const void *body, size_t length) {
    uint8_t frame[HEADER + 4096];
    put_header(frame, (uint32_t)length, (uint8_t)kind, call);
    if (length > 0) {
        memcpy(frame + HEADER, body, length);
    }
    return write(IPC, frame, HEADER + length) == (ssize_t)(HEADER + length) ? 0 : -1;
}

#endif
