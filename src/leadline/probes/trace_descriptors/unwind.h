/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * User stacks: followed, hashed, kept once each. Shared by all probes that take stacks.
 *
 * Who includes this has defined before: MAX_FRAMES; STACK_CHUNK and STACK_REACH; struct stack with `count` and `ips`;
 * struct scratch with a `stack` and a `chunk`; the map `stacks`; count() and LOST_STACKS.
 */
#ifndef LEADLINE_UNWIND_H
#define LEADLINE_UNWIND_H

static __always_inline u64 mix(u64 hash, u64 value)
{
	hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;
	return hash ^ (hash >> 29);
}

#if defined(LEADLINE_X86_64)

struct unwinding {
	struct scratch *scratch;
	u64 frame; /* user address of the next frame record: the frame pointer above, the return address */
	u64 base;  /* user address of the copied piece, and its size */
	u64 bytes;
	u64 hash;
	u32 first;  /* frames that were there already */
	u32 frames;
};

static long unwind_frame(u32 index, void *ctx)
{
	struct unwinding *now = ctx;
	struct scratch *scratch = now->scratch;
	u64 at = now->frame - now->base, above;

	/* The root of a stack has frame pointer 0. Reading there would fault, and one fault costs more than all frames. */
	if (now->frame < 4096 || now->frame & 7)
		return 1;
	if (now->frame < now->base || at + 16 > now->bytes) {
		now->base = now->frame;
		now->bytes = STACK_CHUNK;
		at = 0;
		if (bpf_probe_read_user(scratch->chunk, STACK_CHUNK, (void *)now->frame)) {
			now->bytes = 16; /* the stack ends before the piece does */
			if (bpf_probe_read_user(scratch->chunk, 16, (void *)now->frame))
				return 1;
		}
	}
	now->frame = scratch->chunk[at / 8 & (STACK_CHUNK / 8 - 1)];
	above = scratch->chunk[(at / 8 + 1) & (STACK_CHUNK / 8 - 1)];
	if (!above)
		return 1;
	now->frames = now->first + index;
	scratch->stack.ips[now->frames & (MAX_FRAMES - 1)] = above;
	now->frames += 1;
	now->hash = mix(now->hash, above);
	return 0;
}

/*
 * Follow frame pointers as the kernel's own unwinder does, but over copies of whole pieces of the stack: twenty frames
 * are two or three reads of user memory, not forty. Two frames are there already: the second may be 0 for none.
 * Returns a 64-bit hash over all frames.
 */
__noinline u64 unwind(struct scratch *scratch, u64 frame, u64 sp)
{
	struct unwinding now = { .scratch = scratch, .frame = frame, .hash = 0x6C6561646C696E65ULL };

	if (!scratch)
		return 0;
	now.hash = mix(now.hash, scratch->stack.ips[0]);
	now.first = 1;
	if (scratch->stack.ips[1]) {
		now.hash = mix(now.hash, scratch->stack.ips[1]);
		now.first = 2;
	}
	now.frames = now.first;
	/* Code without frame pointers keeps anything in that register: a frame lies above the stack pointer, and not far. */
	if (frame >= sp && frame - sp < STACK_REACH)
		bpf_loop(MAX_FRAMES - 2, unwind_frame, &now, 0);
	scratch->stack.count = now.frames;
	return now.hash ? now.hash : 1;
}

#else

/* Return addresses may be signed on arm64, and the kernel knows how to strip that: leave it the work. */
__noinline u64 hash_frames(const struct stack *stack, u32 frames)
{
	u64 hash = 0x6C6561646C696E65ULL;

	if (!stack)
		return 0;
	for (u32 i = 0; i < MAX_FRAMES; i++) {
		if (i >= frames)
			break;
		hash = mix(hash, stack->ips[i]);
	}
	return hash ? hash : 1;
}

#endif

/* Return the hash of the user stack at the entry of a function. There the frame pointer is still the caller's, and the
 * return address stands at the stack pointer (on arm64 in the link register): an unwinder alone would leave the
 * caller out. */
static __always_inline u64 take_entry_stack(struct pt_regs *ctx, struct scratch *scratch)
{
	scratch->stack.ips[0] = IP(ctx);
#if defined(LEADLINE_X86_64)
	scratch->stack.ips[1] = 0;
	bpf_probe_read_user(&scratch->stack.ips[1], sizeof(u64), (void *)ctx->sp);
	return unwind(scratch, ctx->bp, ctx->sp);
#else
	long size = bpf_get_stack(ctx, &scratch->stack.ips[2], sizeof(scratch->stack.ips) - 16, BPF_F_USER_STACK | 1);

	scratch->stack.ips[1] = ctx->regs[30];
	scratch->stack.count = 2 + (size > 0 ? size / 8 : 0);
	return hash_frames(&scratch->stack, scratch->stack.count);
#endif
}

/* Keep the frames under their hash. */
static __always_inline void keep_stack(u64 hash, const struct stack *stack)
{
	if (bpf_map_lookup_elem(&stacks, &hash))
		return;
	if (bpf_map_update_elem(&stacks, &hash, stack, BPF_NOEXIST) && !bpf_map_lookup_elem(&stacks, &hash))
		count(LOST_STACKS, 1);
}

#endif
