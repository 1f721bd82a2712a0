/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Maps, settings from user space, and the small steps that every program shares. */
#ifndef LEADLINE_MAPS_H
#define LEADLINE_MAPS_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "records.h"

#define HASH(NAME, KEY, VALUE, ENTRIES) \
	struct { \
		__uint(type, BPF_MAP_TYPE_HASH); \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__uint(max_entries, ENTRIES); \
		__type(key, KEY); \
		__type(value, VALUE); \
	} NAME SEC(".maps")

HASH(processes, u32, struct process, 16384);
HASH(fds, struct fd_key, struct fd_life, 262144);
HASH(sites, u64, struct site, 16384);
HASH(stacks, u64, struct stack, 16384);
HASH(failures, struct failure_key, struct failure, 1024);
HASH(refusals, struct refusal_key, struct refusal, 1024);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct caller_key);
	__type(value, struct caller);
} callers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

/* So much user memory is copied at once: reading user space word by word costs more than all the rest together. */
#define STACK_CHUNK 1024
#define STACK_REACH (8ULL << 20)
#define G_CHUNK 256

/* Room for what does not fit into the 512 bytes of a program's own stack. */
struct scratch {
	u32 busy;
	enum counter unused_counter; /* these two only bring their types into the object's type information */
	struct table_row unused_row;
	struct stack stack; /* ips of the system call, or of the join probe */
	struct site site;   /* its counters stay zero for ever: only the key fields are written */
	u64 g[G_CHUNK / 8];
	u64 chunk[STACK_CHUNK / 8];
};

/* Slot 0 belongs to the tracepoints, which cannot be interrupted by each other on one CPU. The join probe can be
 * preempted, so it claims one of the others. */
#define SCRATCH_SLOTS 5
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Settings that change while the programs run. An array of one: its lookup is compiled to an address. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct aim);
} aims SEC(".maps");

static __always_inline const struct aim *aim(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&aims, &zero);
}

/* Written by user space before loading, constant for the verifier and the JIT afterwards. */
const volatile enum how how[MAX_SYSCALLS] = {};
const volatile enum what what[MAX_SYSCALLS] = {};

static __always_inline void count(enum counter counter, u64 by)
{
	u32 which = counter;
	u64 *value = bpf_map_lookup_elem(&counters, &which);

	if (value)
		*value += by;
}

/* Entry of a table by system call number. The barrier keeps the compiler from dropping the mask that the verifier
 * needs to see after the comparison. */
static __always_inline u32 of_syscall(const volatile void *table, u32 nr)
{
	if (nr >= MAX_SYSCALLS)
		return 0;
	barrier_var(nr);
	return ((const volatile u8 *)table)[nr & (MAX_SYSCALLS - 1)];
}

static __always_inline u64 mix(u64 hash, u64 value)
{
	hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;
	return hash ^ (hash >> 29);
}

/* Who makes the call: the goroutine where there is one, else the thread. */
struct who {
	u64 owner;
	u64 goid;
	u64 parent;
	u64 gopc;
	u32 tid;
};

#define OWNER_THREAD (1ULL << 63)

/* A field of the copied part of g, which begins at offset `start`. */
static __always_inline u64 g_field(const struct scratch *scratch, u32 offset, u32 start)
{
	return scratch->g[((offset - start) / 8) & (G_CHUNK / 8 - 1)];
}

/* Tell the goroutine from its g: one copy of the part that holds all fields, from g.sched.g on. */
static __always_inline void read_goroutine(struct who *who, struct scratch *scratch, const struct go_offsets *go, u64 g,
					   bool ancestry)
{
	u32 start = go->self, last = go->goid, size;
	u64 goid;

	if (!last || !g)
		return;
	if (ancestry && go->parent > last)
		last = go->parent;
	if (ancestry && go->gopc > last)
		last = go->gopc;
	size = last + 8 - start;
	if (size > G_CHUNK || bpf_probe_read_user(scratch->g, size, (void *)(g + start)))
		return;
	/* Threads of C code have anything in that register: believe it only when g points at itself. */
	goid = g_field(scratch, go->goid, start);
	if ((start && scratch->g[0] != g) || goid >> 48 || !goid)
		return;
	who->goid = goid;
	who->owner = goid;
	if (!ancestry)
		return;
	if (go->parent)
		who->parent = g_field(scratch, go->parent, start);
	if (go->gopc)
		who->gopc = g_field(scratch, go->gopc, start);
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

/* Keep the frames under their hash. */
static __always_inline void keep_stack(u64 hash, const struct stack *stack)
{
	if (bpf_map_lookup_elem(&stacks, &hash))
		return;
	if (bpf_map_update_elem(&stacks, &hash, stack, BPF_NOEXIST) && !bpf_map_lookup_elem(&stacks, &hash))
		count(LOST_STACKS, 1);
}

/* The open file behind a number, as an address; 0 when the number is not open. */
static __always_inline u64 file_of(u32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = task->files->fdt;
	u64 file = 0;

	if (fd >= table->max_fds)
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), (void *)((u64)table->fd + 8ULL * fd));
	return file;
}

/* Kind code of a file: exact for sockets, by mode for the others. */
static __always_inline u32 kind_of_file(u64 address)
{
	struct file *file = (struct file *)address;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	u32 mode = BPF_CORE_READ(inode, i_mode);

	switch (mode & S_IFMT) {
	case S_IFSOCK: {
		struct socket *socket = BPF_CORE_READ(file, private_data);
		struct sock *sock = BPF_CORE_READ(socket, sk);
		u32 family = BPF_CORE_READ(sock, __sk_common.skc_family);
		u32 type = BPF_CORE_READ(sock, sk_type);
		u32 protocol = BPF_CORE_READ(sock, sk_protocol);

		return WHAT_SOCKET | (family & 255) << 8 | (type & 255) << 16 | (protocol & 255) << 24;
	}
	case 0100000:
		return WHAT_REGULAR;
	case 0040000:
		return WHAT_DIRECTORY;
	case 0020000:
		return WHAT_CHAR_DEVICE;
	case 0060000:
		return WHAT_BLOCK_DEVICE;
	case 0010000:
		return WHAT_PIPE;
	}
	return WHAT_ANONYMOUS;
}

static __always_inline u32 lifetime_bucket(u64 age_ns)
{
	u32 log2 = 0, bucket;
	u64 rest = age_ns;

	if (age_ns < (1ULL << HIST_FIRST_LOG2))
		return 0;
	if (rest >> 32) { rest >>= 32; log2 += 32; }
	if (rest >> 16) { rest >>= 16; log2 += 16; }
	if (rest >> 8) { rest >>= 8; log2 += 8; }
	if (rest >> 4) { rest >>= 4; log2 += 4; }
	if (rest >> 2) { rest >>= 2; log2 += 2; }
	if (rest >> 1) { log2 += 1; }
	bucket = 1 + (log2 - HIST_FIRST_LOG2) * 4 + ((age_ns >> (log2 - 2)) & 3);
	return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

#endif
