/* code.h: a function as bytes, for deeds that run what nobody has vetted. */
#ifndef CORDON_CODE_H
#define CORDON_CODE_H

#include <string.h>

/* Returns 42. */
#if defined(__x86_64__)
static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
#elif defined(__aarch64__)
static const unsigned char code[] = {0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6};
#else
#error "no code for this architecture"
#endif

/* Runs the bytes there, and gives what they return. */
static inline int run_code(void *at) {
    int (*function)(void);
    __builtin___clear_cache((char *)at, (char *)at + sizeof code);
    memcpy(&function, &at, sizeof function);
    return function();
}

#endif
