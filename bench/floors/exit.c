/* The least program: without libraries, it ends at once. Starting it is the floor of a launch. */
_Noreturn void _start(void);

_Noreturn void _start(void) {
#if defined(__x86_64__)
    __asm__ volatile("mov $231, %eax\n\txor %edi, %edi\n\tsyscall"); /* exit_group(0) */
#elif defined(__aarch64__)
    __asm__ volatile("mov x8, #94\n\tmov x0, #0\n\tsvc #0"); /* exit_group(0) */
#else
#error "no exit for this architecture"
#endif
    __builtin_unreachable();
}
