// getpid with bit 30 set: the x32 ABI has numbers of its own and shares the architecture.
#include "deed.h"

DEED("makes a system call by its x32 number", BY("ENOSYS", "seccomp") ELSE("ENOSYS", "kernel"))

	.text
	.globl	raw_permitted, raw_deed
raw_permitted:
	mov	$39, %eax	// getpid
	syscall
	ret

raw_deed:
	mov	$0x40000027, %eax
	syscall
	ret

	.section .note.GNU-stack, "", @progbits
