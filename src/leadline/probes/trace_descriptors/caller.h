/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Who makes a call: whether its process is of interest, which goroutine or thread it is. */
#ifndef LEADLINE_CALLER_H
#define LEADLINE_CALLER_H

#include "maps.h"
#include "goroutine.h"

static __always_inline struct scratch *first_scratch(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
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
