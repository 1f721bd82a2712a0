/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Which goroutine runs, and who started it: from the g that Go keeps in a register. Shared by all probes.
 *
 * Who includes this has defined before: G_CHUNK; struct scratch with a `g`; struct go_offsets.
 */
#ifndef LEADLINE_GOROUTINE_H
#define LEADLINE_GOROUTINE_H

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

#endif
