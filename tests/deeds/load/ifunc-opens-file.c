#include <fcntl.h>

#include "deed.h"

DEED("opens a file of the host in an IFUNC resolver, before its first constructor",
     BY("ENOENT", "root") ELSE("EACCES", "landlock") ELSE("EACCES", "ids"))

/* The loader is in the middle of relocating: only the bare call works. */
static long bare_open(const char *path) {
#if defined(__x86_64__)
    register long flags __asm__("r10") = 0;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_openat), "D"(AT_FDCWD), "S"(path), "d"(O_RDONLY), "r"(flags)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_openat;
    register long result __asm__("x0") = AT_FDCWD;
    register const char *name __asm__("x1") = path;
    register long flags __asm__("x2") = O_RDONLY;
    __asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(name), "r"(flags) : "memory");
    return result;
#else
#error "no system call for this architecture"
#endif
}

static long result = 1;

static void nothing(void) {
}

static void (*resolve(void))(void) {
#ifdef TWIN
    result = bare_open("/dev/null");
#else
    result = bare_open("/etc/shadow");
#endif
    return nothing;
}

/* Exported, so that the loader resolves it in any case. */
CORDON_EXPORT void resolved(void) __attribute__((ifunc("resolve")));

static void tell_early(void) {
    if (result < 0) {
        stopped((int)-result, "open in a resolver");
    } else {
        done("open in a resolver gave %ld", result);
    }
}

static void permitted(const char *data) {
    resolved();
    tell_early();
}

static void deed(const char *data) {
    resolved();
    tell_early();
}
