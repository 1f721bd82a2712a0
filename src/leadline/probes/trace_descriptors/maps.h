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

#endif
