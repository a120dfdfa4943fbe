/* Where Go's ABIInternal passes arguments and keeps g (cmd/compile/abi-internal.md), by machine. The columns are fields of struct pt_regs.
 * They hold at a function's entry and up to the sites that src/probes/sites finds. */
#pragma once
#include "kernel.h"

#ifdef __TARGET_ARCH_arm64
#define BY_MACHINE(amd64, arm64) arm64
#else
#define BY_MACHINE(amd64, arm64) amd64
#endif

/*                               amd64  arm64 */
#define ARGUMENT_0    BY_MACHINE(ax,    regs[0])
#define ARGUMENT_1    BY_MACHINE(bx,    regs[1])
#define ARGUMENT_2    BY_MACHINE(cx,    regs[2])
#define ARGUMENT_3    BY_MACHINE(di,    regs[3])
#define G             BY_MACHINE(r14,   regs[28])
/* Points at the caller's frame pointer; the word behind that is where the caller returns to. */
#define FRAME_POINTER BY_MACHINE(bp,    regs[29])
#define PC            BY_MACHINE(ip,    pc)

/* On amd64 the call put it on the stack, on arm64 into the link register. */
#define RETURN_ADDRESS(registers) BY_MACHINE(user_word((registers)->sp), (registers)->regs[30])
