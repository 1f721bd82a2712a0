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

/* Room for a stack and a new site: too large for the 512 bytes of a program's own stack. */
struct scratch {
	u32 busy;
	enum counter unused_counter; /* these two only bring their types into the object's type information */
	struct table_row unused_row;
	struct stack stack; /* ips of the system call, or of the join probe */
	struct site site;   /* its counters stay zero for ever: only the key fields are written */
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

static __always_inline void read_goid(struct who *who, const struct process *process, u64 g)
{
	u64 self = 0, goid = 0;
	u32 at;

	at = process->go.goid;
	if (!at || !g)
		return;
	/* Threads of C code have anything in that register: believe it only when g points at itself. */
	if (process->go.self) {
		bpf_probe_read_user(&self, sizeof(self), (void *)(g + process->go.self));
		if (self != g)
			return;
	}
	if (bpf_probe_read_user(&goid, sizeof(goid), (void *)(g + at)) || goid >> 48)
		return;
	who->goid = goid;
	if (goid)
		who->owner = goid;
}

static __always_inline void read_ancestry(struct who *who, const struct process *process, u64 g)
{
	u32 at;

	if (!who->goid)
		return;
	at = process->go.parent;
	if (at)
		bpf_probe_read_user(&who->parent, sizeof(u64), (void *)(g + at));
	at = process->go.gopc;
	if (at)
		bpf_probe_read_user(&who->gopc, sizeof(u64), (void *)(g + at));
}

/* Hash the first `bytes` of the frames: 64 bits, so that no two stacks are ever taken for one. */
__noinline u64 hash_frames(const struct stack *stack, u32 bytes)
{
	u64 hash = 0x6C6561646C696E65ULL;
	u32 frames = bytes / 8;

	if (!stack)
		return 0;
	for (u32 i = 0; i < MAX_FRAMES; i++) {
		if (i >= frames)
			break;
		hash = mix(hash, stack->ips[i]);
	}
	return hash ? hash : 1;
}

/* Keep the frames under their hash; `bytes` of scratch beyond them may be left from an earlier stack: clear the end mark. */
static __always_inline void keep_stack(u64 hash, struct stack *stack, u32 bytes)
{
	u32 frames = bytes / 8;

	if (bpf_map_lookup_elem(&stacks, &hash))
		return;
	stack->count = frames;
	if (bpf_map_update_elem(&stacks, &hash, stack, BPF_NOEXIST) &&
	    !bpf_map_lookup_elem(&stacks, &hash))
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
