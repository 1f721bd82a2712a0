/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* A descriptor's life: what it is, its birth and its death, counted at its place of birth. */
#ifndef LEADLINE_LIVES_H
#define LEADLINE_LIVES_H

#include "stack.h"

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

/* One system call that made descriptors. */
struct birth {
	u64 now;
	u64 stack;
	u64 caller1;
	u64 caller2;
	u64 base; /* hash of all of the site's key but the kind */
	struct who who;
	u32 tgid;
	u32 image;
	u32 nr;
	u32 highest_fd;
};

static __noinline struct site *site_of(struct birth *birth, u32 kind, u64 *id)
{
	struct scratch *scratch;
	struct site *site;
	u64 key = mix(birth->base, kind);

	*id = key;
	site = bpf_map_lookup_elem(&sites, &key);
	if (site)
		return site;
	scratch = first_scratch();
	if (!scratch)
		return NULL;
	if (birth->stack)
		keep_stack(birth->stack, &scratch->stack);
	scratch->site.tgid = birth->tgid;
	scratch->site.image = birth->image;
	scratch->site.kind = kind;
	scratch->site.nr = birth->nr;
	scratch->site.stack = birth->stack;
	scratch->site.caller1 = birth->caller1;
	scratch->site.caller2 = birth->caller2;
	scratch->site.gopc = birth->who.gopc;
	scratch->site.first_ns = birth->now;
	bpf_map_update_elem(&sites, &key, &scratch->site, BPF_NOEXIST);
	site = bpf_map_lookup_elem(&sites, &key);
	if (!site)
		count(LOST_SITES, 1);
	return site;
}

static __always_inline void settle(struct fd_life *life, u64 now, bool timed, bool foreign)
{
	struct site *site = bpf_map_lookup_elem(&sites, &life->site);
	u32 bucket;

	if (!site)
		return;
	__sync_fetch_and_add(&site->deaths, 1);
	if (foreign)
		__sync_fetch_and_add(&site->deaths_foreign, 1);
	if (!timed || now < life->born_ns) {
		__sync_fetch_and_add(&site->deaths_unseen, 1);
		return;
	}
	bucket = lifetime_bucket(now - life->born_ns);
	if (bucket < HIST_BUCKETS)
		__sync_fetch_and_add(&site->lifetimes[bucket], 1);
}

/* Functions that are not static are verified once, not once per way that leads to them: a tenth of the loading time. */
__noinline int born(struct birth *birth, u32 fd, u32 kind)
{
	struct fd_key key = { .fd = fd };
	struct fd_life *life;
	struct site *site;
	u64 file, id = 0;

	if (!birth || fd >> 30)
		return 0;
	key.tgid = birth->tgid;
	file = file_of(fd);
	if (!file && (kind & 255) == WHAT_IO_URING)
		return 0; /* IORING_SETUP_REGISTERED_FD_ONLY returns an index, not a descriptor */
	if (kind == WHAT_BY_FILE)
		kind = kind_of_file(file);
	if (fd > birth->highest_fd)
		birth->highest_fd = fd;
	site = site_of(birth, kind, &id);
	if (site) {
		__sync_fetch_and_add(&site->births, 1);
		site->last_ns = birth->now;
	}
	life = bpf_map_lookup_elem(&fds, &key);
	if (life) {
		if (life->state & FD_ALIVE) {
			life->state = 0;
			if (of_syscall(how, birth->nr) == HOW_DUP_OVER) {
				settle(life, birth->now, true, life->owner != birth->who.owner);
				life->closer = birth->who.owner;
				life->died_ns = birth->now;
			} else {
				count(MISSED_DEATHS, 1);
				settle(life, birth->now, false, false);
				life->closer = 0;
			}
		}
		life->previous_closer = life->closer;
		life->kind = kind;
		life->born_ns = birth->now;
		life->site = id;
		life->file = file;
		life->owner = birth->who.owner;
		life->tid = birth->who.tid;
		life->nr = birth->nr;
		life->died_ns = 0;
		life->closer = 0;
		life->close_stack = 0;
		barrier();
		life->state = file ? FD_ALIVE : 0;
	} else {
		struct fd_life fresh = {
			.state = file ? FD_ALIVE : 0,
			.kind = kind,
			.born_ns = birth->now,
			.site = id,
			.file = file,
			.owner = birth->who.owner,
			.tid = birth->who.tid,
			.nr = birth->nr,
		};

		if (bpf_map_update_elem(&fds, &key, &fresh, BPF_ANY))
			count(LOST_FDS, 1);
	}
	if (!file && site) {
		/* Another thread closed it before this program ran: a life of no length. */
		__sync_fetch_and_add(&site->deaths, 1);
		__sync_fetch_and_add(&site->lifetimes[0], 1);
	}
	return 0;
}

/* What a death needs; `closer` 0 when nobody in particular closed it (exec). */
struct death {
	u64 now;
	u64 closer;
	u64 file; /* 0: not known */
	u64 stack;
	u32 tgid;
};

__noinline int died(struct death *death, struct fd_life *life, u32 fd)
{
	bool same;

	if (!death)
		return 0;
	if (!life) {
		struct fd_key key = { .tgid = death->tgid, .fd = fd };
		struct fd_life fresh = {
			.died_ns = death->now,
			.closer = death->closer,
			.close_stack = death->stack,
		};

		/* Open since before tracing. Remember who closed it: a second close of the number may hit another's. */
		if (death->closer)
			bpf_map_update_elem(&fds, &key, &fresh, BPF_ANY);
		return 0;
	}
	if (life->state & FD_ALIVE) {
		same = !death->file || !life->file || life->file == death->file;
		life->state = 0;
		settle(life, death->now, same, death->closer && death->closer != life->owner);
		if (!same)
			count(MISSED_DEATHS, 1);
	}
	life->died_ns = death->now;
	life->closer = death->closer;
	life->close_stack = death->stack;
	return 0;
}

#endif
