/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Many descriptors at once: close_range, exec and exit. */
#ifndef LEADLINE_WALK_H
#define LEADLINE_WALK_H

#include "lives.h"

/* A walk over a descriptor table by words of its bitmap. */
struct walk {
	struct death death;
	u64 bitmap;
	u64 word;
	u32 first;
	u32 last;
	u32 base;
	u32 mode;
	u32 open;
};

#define WALK_CLOSE 0 /* what is open, dies */
#define WALK_EXEC 1  /* what is not open any more, has died */
#define WALK_EXIT 2  /* what is open, was open at exit; forget the others */

static long walk_number(u32 bit, void *ctx)
{
	struct walk *walk = ctx;
	u32 fd = walk->base + bit;
	bool open = (walk->word >> (bit & 63)) & 1;
	struct fd_key key = { .tgid = walk->death.tgid, .fd = fd };
	struct fd_life *life;

	if (fd < walk->first || fd > walk->last)
		return 0;
	if (walk->mode != WALK_EXIT && open != (walk->mode == WALK_CLOSE))
		return 0;
	life = bpf_map_lookup_elem(&fds, &key);
	if (walk->mode == WALK_CLOSE) {
		died(&walk->death, life, fd);
		return 0;
	}
	if (!life)
		return 0;
	if (walk->mode == WALK_EXEC) {
		if (life->state & FD_ALIVE)
			died(&walk->death, life, fd);
	} else if (open && (life->state & FD_ALIVE)) {
		life->state = FD_ALIVE | FD_AT_EXIT;
	} else {
		if (life->state & FD_ALIVE) {
			count(MISSED_DEATHS, 1);
			settle(life, 0, false, false);
		}
		bpf_map_delete_elem(&fds, &key);
	}
	return 0;
}

static __always_inline u32 bits_set(u64 word)
{
	word = word - ((word >> 1) & 0x5555555555555555ULL);
	word = (word & 0x3333333333333333ULL) + ((word >> 2) & 0x3333333333333333ULL);
	word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0FULL;
	return (word * 0x0101010101010101ULL) >> 56;
}

static long walk_word(u32 index, void *ctx)
{
	struct walk *walk = ctx;
	u64 word = 0;

	walk->base = (walk->first & ~63u) + index * 64;
	bpf_probe_read_kernel(&word, sizeof(word), (void *)(walk->bitmap + walk->base / 8));
	walk->word = word;
	walk->open += bits_set(word);
	if (walk->mode == WALK_CLOSE && !word)
		return 0;
	if (walk->base > walk->last)
		return 0;
	bpf_loop(64, walk_number, walk, 0);
	return 0;
}

static __always_inline void walk_table(struct walk *walk, u32 last_word_of)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = task->files->fdt;
	u32 size = table->max_fds;

	if (!size || walk->first > walk->last)
		return;
	if (last_word_of >= size)
		last_word_of = size - 1;
	if (walk->first > last_word_of)
		return;
	walk->bitmap = (u64)table->open_fds;
	bpf_loop((last_word_of / 64) - (walk->first / 64) + 1, walk_word, walk, 0);
}

#endif
