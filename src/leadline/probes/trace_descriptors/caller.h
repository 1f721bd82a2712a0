/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Who makes a call: whether its process is of interest, which goroutine or thread it is. */
#ifndef LEADLINE_CALLER_H
#define LEADLINE_CALLER_H

#include "maps.h"

static __always_inline struct scratch *first_scratch(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
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

static __always_inline struct process *wanted(u32 *tgid)
{
	const struct aim *now = aim();

	*tgid = bpf_get_current_pid_tgid() >> 32;
	if (!now || (now->only_tgid && *tgid != now->only_tgid))
		return NULL;
	return bpf_map_lookup_elem(&processes, tgid);
}

static __always_inline struct who whoever(const struct process *process, u64 g, bool ancestry)
{
	struct who who = { .tid = (u32)bpf_get_current_pid_tgid() };

	struct scratch *scratch = first_scratch();

	who.owner = OWNER_THREAD | who.tid;
	if (scratch)
		read_goroutine(&who, scratch, &process->go, g, ancestry);
	return who;
}

#endif
