/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The user stack of a system call. */
#ifndef LEADLINE_STACK_H
#define LEADLINE_STACK_H

#include "caller.h"
#include "unwind.h"

/* Return the hash of the user stack at a system call, 0 when it has none; the frames stay in slot 0. */
static __always_inline u64 take_stack(void *ctx, struct pt_regs *regs)
{
	struct scratch *scratch = first_scratch();

	if (!scratch)
		return 0;
#if defined(LEADLINE_X86_64)
	scratch->stack.ips[0] = IP(regs);
	scratch->stack.ips[1] = 0;
	return unwind(scratch, regs->bp, regs->sp);
#else
	long size = bpf_get_stack(ctx, scratch->stack.ips, sizeof(scratch->stack.ips), BPF_F_USER_STACK);

	if (size <= 0) {
		count(FAILED_STACK, 1);
		return 0;
	}
	scratch->stack.count = size / 8;
	return hash_frames(&scratch->stack, size / 8);
#endif
}

static __always_inline void keep_taken_stack(u64 hash)
{
	struct scratch *scratch = first_scratch();

	if (hash && scratch)
		keep_stack(hash, &scratch->stack);
}

#endif
