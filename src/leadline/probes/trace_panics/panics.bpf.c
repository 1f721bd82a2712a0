// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Panics of a Go program, counted by stack where they begin.
 *
 * One program in runtime.gopanic, through which each panic passes, those of the runtime too (nil maps, bad indices, nil
 * pointers), and at the entry of runtime.fatalpanic, where a panic that nobody recovered ends the process. Nothing runs,
 * and nothing is paid, unless the program panics.
 *
 * The place in gopanic is not its first instruction but the one behind its stack check: a goroutine that needs a larger
 * stack, or is preempted in the check, begins the function again, and would be counted twice.
 */
#include "../trace_descriptors/kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define MAX_FRAMES 64
#define MAX_PLACES 1024
#define STACK_CHUNK 1024
#define STACK_REACH (8ULL << 20)
#define G_CHUNK 256

enum counter {
	COUNT_PANICS,
	COUNT_FATAL,   /* panics that ended the process */
	LOST_PLACES,   /* `panics` was full: panics without an entry */
	LOST_STACKS,
	LOST_SCRATCH,  /* every buffer of this CPU was in use */
	COUNTERS,
};

enum cookie {
	COOKIE_PANIC = 1,
	COOKIE_FATAL = 2,
};

/* Offsets into the runtime's g, in bytes; 0 means unknown. */
struct go_offsets {
	u16 self;
	u16 goid;
	u16 parent;
	u16 gopc;
};

struct stack {
	u64 count;
	u64 ips[MAX_FRAMES];
};

struct panic_key {
	u64 stack;
	u64 gopc;
};

struct panic {
	u64 count;
	u64 first_ns;
	u64 last_ns;
};

struct scratch {
	u32 busy;
	enum counter unused_counter; /* these two only bring their types into the object's type information */
	enum cookie unused_cookie;
	u32 zero;
	struct stack stack;
	u64 g[G_CHUNK / 8];
	u64 chunk[STACK_CHUNK / 8];
};

#define HASH(NAME, KEY, VALUE) \
	struct { \
		__uint(type, BPF_MAP_TYPE_HASH); \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__uint(max_entries, MAX_PLACES); \
		__type(key, KEY); \
		__type(value, VALUE); \
	} NAME SEC(".maps")

HASH(panics, struct panic_key, struct panic);
HASH(stacks, u64, struct stack);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

/* A probe can be preempted by another one on the same CPU, so each claims a buffer. */
#define SCRATCH_SLOTS 4
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Written by user space before loading. */
const volatile struct go_offsets go = {};
const volatile u32 frame_bytes = 0; /* how far below its entry the stack pointer stands at the place in gopanic */

static __always_inline void count(enum counter counter, u64 by)
{
	u32 which = counter;
	u64 *value = bpf_map_lookup_elem(&counters, &which);

	if (value)
		__sync_fetch_and_add(value, by);
}

#include "../trace_descriptors/goroutine.h"
#include "../trace_descriptors/unwind.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Return the hash of the user stack behind the prologue of gopanic: the return address stands right above the frame. */
static __always_inline u64 take_panic_stack(struct pt_regs *ctx, struct scratch *scratch)
{
#if defined(LEADLINE_X86_64)
	u64 bp = ctx->bp, sp = ctx->sp, above;

	/* Read once: the verifier wants each access to the context to be a plain one. */
	barrier_var(bp);
	barrier_var(sp);
	above = sp + frame_bytes;
	scratch->stack.ips[0] = IP(ctx);
	scratch->stack.ips[1] = 0;
	if (bp != above - 8) /* Go before 1.21: the frame pointer is still the caller's */
		bpf_probe_read_user(&scratch->stack.ips[1], sizeof(u64), (void *)above);
	return unwind(scratch, bp, sp);
#else
	return take_entry_stack(ctx, scratch); /* the link register and the frame pointer are still as at the entry */
#endif
}

static __always_inline void note(const struct panic_key *key, const struct stack *stack)
{
	u64 now = bpf_ktime_get_ns();
	struct panic *seen = bpf_map_lookup_elem(&panics, key), fresh = { .first_ns = now };

	if (!seen) {
		keep_stack(key->stack, stack);
		bpf_map_update_elem(&panics, key, &fresh, BPF_NOEXIST);
		seen = bpf_map_lookup_elem(&panics, key);
	}
	if (!seen) {
		count(LOST_PLACES, 1);
		return;
	}
	__sync_fetch_and_add(&seen->count, 1);
	seen->last_ns = now;
}

SEC("uprobe")
int on_panic(struct pt_regs *ctx)
{
	struct go_offsets offsets = { .self = go.self, .goid = go.goid, .parent = go.parent, .gopc = go.gopc };
	struct scratch *scratch = NULL;
	struct panic_key key = {};
	struct who who = {};

	if (bpf_get_attach_cookie(ctx) == COOKIE_FATAL) {
		count(COUNT_FATAL, 1);
		return 0;
	}
	count(COUNT_PANICS, 1);
	for (u32 slot = 0; slot < SCRATCH_SLOTS; slot++) {
		u32 index = slot;

		scratch = bpf_map_lookup_elem(&scratches, &index);
		if (scratch && !__sync_lock_test_and_set(&scratch->busy, 1))
			break;
		scratch = NULL;
	}
	if (!scratch) {
		count(LOST_SCRATCH, 1);
		return 0;
	}
	read_goroutine(&who, scratch, &offsets, GO_G(ctx), true);
	key.gopc = who.gopc;
	key.stack = take_panic_stack(ctx, scratch);
	note(&key, &scratch->stack);
	scratch->busy = 0;
	return 0;
}
