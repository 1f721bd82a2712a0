// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Births and deaths of descriptors, counted where they happen.
 *
 * Two programs see every system call (its entry for closes, its exit for births) and three see processes fork, exec
 * and exit. Nothing is streamed: births and deaths are added up per birthplace in `sites`, and `fds` holds the
 * present life of every number. What does not fit anywhere is counted, and user space compares `fds` with the
 * task_file iterator below, which is the ground truth.
 *
 * A death is taken at the entry of close, a birth at the exit of its call: in between, another thread may be given
 * the same number.
 */
#include "maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

static __always_inline struct scratch *first_scratch(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* Return the hash of the user stack at a system call, 0 when it has none; the frames stay in slot 0. */
static __always_inline u64 take_stack(void *ctx, struct pt_regs *regs)
{
	struct scratch *scratch = first_scratch();

	if (!scratch)
		return 0;
#if defined(LEADLINE_X86_64)
	scratch->stack.ips[0] = IP(regs);
	scratch->stack.ips[1] = 0;
	return unwind(scratch, regs->bp, regs->sp);
#else
	long size = bpf_get_stack(ctx, scratch->stack.ips, sizeof(scratch->stack.ips), BPF_F_USER_STACK);

	if (size <= 0) {
		count(FAILED_STACK, 1);
		return 0;
	}
	scratch->stack.count = size / 8;
	return hash_frames(&scratch->stack, size / 8);
#endif
}

static __always_inline void keep_taken_stack(u64 hash)
{
	struct scratch *scratch = first_scratch();

	if (hash && scratch)
		keep_stack(hash, &scratch->stack);
}

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

/* Whether a close looks like the second one of a double close, where the number has become somebody else's: it was
 * made by another, in a place where makers close themselves, and this caller closed its life before. Such a close
 * leaves its stack, for if its owner's own close fails later, this one is to blame. */
static __always_inline bool is_suspicious(const struct fd_life *life, u64 closer)
{
	struct site *site;

	if (!life || !(life->state & FD_ALIVE) || life->owner == closer || life->previous_closer != closer)
		return false;
	site = bpf_map_lookup_elem(&sites, &life->site);
	return site && site->deaths_foreign * 16 <= site->deaths;
}

SEC("tp_btf/sys_enter")
int on_sys_enter(u64 *ctx)
{
	u32 nr = (u32)ctx[1], tgid, way;
	struct process *process;
	struct pt_regs *regs;
	struct who who;

	way = of_syscall(how, nr);
	if (way != HOW_CLOSE && way != HOW_CLOSE_RANGE)
		return 0;
	process = wanted(&tgid);
	if (!process || IS_COMPAT(bpf_get_current_task_btf()))
		return 0;
	regs = (struct pt_regs *)ctx[0];
	who = whoever(process, GO_G(regs), false);
	if (way == HOW_CLOSE) {
		struct death death = { .now = bpf_ktime_get_ns(), .closer = who.owner, .tgid = tgid };
		u32 fd = (u32)ARG0(regs);
		struct fd_key key = { .tgid = tgid, .fd = fd };
		struct fd_life *life;

		death.file = file_of(fd);
		if (!death.file)
			return 0; /* it will fail: the number's last life stays as it is, for the exit to judge */
		life = bpf_map_lookup_elem(&fds, &key);
		if (process->flags & PROCESS_ARMED || is_suspicious(life, who.owner)) {
			death.stack = take_stack(ctx, regs);
			keep_taken_stack(death.stack);
			count(COUNT_CLOSE_STACKS, 1);
		}
		died(&death, life, fd);
	} else {
		struct walk walk = {
			.death = { .now = bpf_ktime_get_ns(), .closer = who.owner, .tgid = tgid },
			.first = (u32)ARG0(regs),
			.last = (u32)ARG1(regs),
			.mode = WALK_CLOSE,
		};
		u32 flags = (u32)ARG2(regs);

		if (flags & ~2u) /* CLOSE_RANGE_CLOEXEC closes nothing now; unknown flags are refused */
			return 0;
		walk_table(&walk, walk.last);
	}
	return 0;
}

static __always_inline int refused(void *ctx, struct pt_regs *regs, const struct process *process, u32 tgid, u32 nr,
				  s32 error)
{
	struct refusal_key key = { .tgid = tgid, .image = process->image, .nr = nr, .error = error };
	struct refusal *seen, fresh = {};
	u64 now = bpf_ktime_get_ns();

	key.stack = take_stack(ctx, regs);
	seen = bpf_map_lookup_elem(&refusals, &key);
	if (!seen) {
		keep_taken_stack(key.stack);
		fresh.first_ns = now;
		bpf_map_update_elem(&refusals, &key, &fresh, BPF_NOEXIST);
		seen = bpf_map_lookup_elem(&refusals, &key);
		if (!seen) {
			count(LOST_REFUSALS, 1);
			return 0;
		}
	}
	__sync_fetch_and_add(&seen->count, 1);
	seen->last_ns = now;
	return 0;
}

static __always_inline int close_failed(void *ctx, struct pt_regs *regs, struct process *process, u32 tgid, s32 error)
{
	struct failure_key key = { .tgid = tgid, .image = process->image, .error = error };
	u32 fd = (u32)ARG0(regs);
	struct fd_key number = { .tgid = tgid, .fd = fd };
	struct fd_life *life = bpf_map_lookup_elem(&fds, &number);
	struct who who = whoever(process, GO_G(regs), false);
	struct failure *seen, fresh = {};
	u64 now = bpf_ktime_get_ns(), nth;

	/* From now on each close leaves its stack: a fault that happens again gets its culprit's name. */
	process->flags |= PROCESS_ARMED;
	if (life) {
		key.flags |= FAILED_KNOWN;
		if (life->state & FD_ALIVE)
			key.flags |= FAILED_ALIVE;
		if (life->born_ns) {
			key.flags |= FAILED_BORN;
			key.victim_site = life->site;
			if (life->closer && life->closer == life->owner)
				key.flags |= FAILED_CLOSER_OWNED;
			if (who.owner == life->owner)
				key.flags |= FAILED_CALLER_OWNED;
		}
		if (who.owner == life->closer)
			key.flags |= FAILED_CALLER_CLOSED;
		if (life->closer && life->closer == life->previous_closer)
			key.flags |= FAILED_CLOSER_REPEATED;
		key.culprit_stack = life->close_stack;
	}
	key.stack = take_stack(ctx, regs);
	seen = bpf_map_lookup_elem(&failures, &key);
	if (!seen) {
		keep_taken_stack(key.stack);
		fresh.first_ns = now;
		bpf_map_update_elem(&failures, &key, &fresh, BPF_NOEXIST);
		seen = bpf_map_lookup_elem(&failures, &key);
		if (!seen) {
			count(LOST_FAILURES, 1);
			return 0;
		}
	}
	nth = seen->count;
	__sync_fetch_and_add(&seen->count, 1);
	if (nth < FAILED_FDS)
		seen->fds[nth & (FAILED_FDS - 1)] = fd;
	seen->last_ns = now;
	return 0;
}

/* Whether the goroutine was started by one of the library functions that start work for their caller. Without this
 * check, whatever a goroutine starts after it has once asked for a connection would be laid at that old call's door. */
static __always_inline bool started_for_caller(const struct process *process, u64 gopc)
{
	for (u32 i = 0; i < MAX_STARTERS; i++)
		if (gopc >= process->starters[i].first && gopc < process->starters[i].end)
			return true;
	return false;
}

/* Look up who asked the goroutine's parent to work, and when the parent only relays, its parent too. */
static __always_inline void join(struct birth *birth, const struct process *process)
{
	struct caller_key key = { .goid = birth->who.parent, .tgid = birth->tgid };
	const struct aim *now = aim();
	struct caller *caller;

	if (!birth->who.parent || !now || !now->join || !started_for_caller(process, birth->who.gopc))
		return;
	caller = bpf_map_lookup_elem(&callers, &key);
	if (!caller)
		return;
	birth->caller1 = caller->stack;
	count(COUNT_JOIN_USED, 1);
	if (caller->role != CALLER_RELAYS || !caller->parent || !started_for_caller(process, caller->gopc))
		return;
	key.goid = caller->parent;
	caller = bpf_map_lookup_elem(&callers, &key);
	if (caller)
		birth->caller2 = caller->stack;
}

/* Descriptors that arrive in control messages. */
struct arrival {
	struct birth *birth;
	u64 at;    /* user address of the next control message, or of the ints */
	u64 end;
	u64 messages;
};

static long arrive_fd(u32 index, void *ctx)
{
	struct arrival *arrival = ctx;
	s32 fd = -1;

	if (bpf_probe_read_user(&fd, sizeof(fd), (void *)(arrival->at + 4ULL * index)))
		return 1;
	if (fd >= 0)
		born(arrival->birth, fd, WHAT_BY_FILE);
	return 0;
}

struct control_header {
	u64 length;
	s32 level;
	s32 type;
};

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define SCM_PIDFD 4
#define SCM_MAX_FD 253

static long arrive_control(u32 index, void *ctx)
{
	struct arrival *arrival = ctx;
	struct control_header header = {};
	u64 start = arrival->at;

	if (start + sizeof(header) > arrival->end)
		return 1;
	if (bpf_probe_read_user(&header, sizeof(header), (void *)start) || header.length < sizeof(header)) {
		count(FAILED_SCM, 1);
		return 1;
	}
	if (header.level == SOL_SOCKET && (header.type == SCM_RIGHTS || header.type == SCM_PIDFD)) {
		u64 fds_here = (header.length - sizeof(header)) / 4;

		if (fds_here > SCM_MAX_FD)
			fds_here = SCM_MAX_FD;
		arrival->at = start + sizeof(header);
		bpf_loop(fds_here, arrive_fd, arrival, 0);
	}
	arrival->at = start + ((header.length + 7) & ~7ULL);
	return 0;
}

/* The middle of struct msghdr (user ABI of 64-bit): msg_control at 32, msg_controllen at 40. */
static __noinline int arrive_message(struct arrival *arrival, u64 message)
{
	u64 control[2] = {};

	if (bpf_probe_read_user(control, sizeof(control), (void *)(message + 32)))
		return 0;
	if (!control[0] || control[1] < sizeof(struct control_header))
		return 0;
	arrival->at = control[0];
	arrival->end = control[0] + control[1];
	bpf_loop(16, arrive_control, arrival, 0);
	return 0;
}

static long arrive_of_many(u32 index, void *ctx)
{
	struct arrival *arrival = ctx;

	/* struct mmsghdr is a msghdr of 56 bytes, a length and padding. */
	arrive_message(arrival, arrival->messages + 64ULL * index);
	return 0;
}

/* Whether the user memory of a message can hold descriptors at all: spares the stack of plain reads. */
static __always_inline bool has_control(u64 message)
{
	u64 control[2] = {};

	if (bpf_probe_read_user(control, sizeof(control), (void *)(message + 32)))
		return false;
	return control[0] && control[1] >= sizeof(struct control_header) + 4;
}

/* bpf(2) commands that return a descriptor. */
#define BPF_FD_COMMANDS \
	(1ULL << 0 | 1ULL << 5 | 1ULL << 7 | 1ULL << 13 | 1ULL << 14 | 1ULL << 17 | 1ULL << 18 | 1ULL << 19 | \
	 1ULL << 28 | 1ULL << 30 | 1ULL << 32 | 1ULL << 33 | 1ULL << 36)

/* ioctl(2) requests that return a descriptor. Others that make one are found by the snapshot. */
static __always_inline bool ioctl_makes_fd(u32 request)
{
	switch (request) {
	case 0x5441:             /* TIOCGPTPEER */
	case 0x894C:             /* SIOCGSKNS */
	case 0xB701:             /* NS_GET_USERNS */
	case 0xB702:             /* NS_GET_PARENT */
	case 0xAA00:             /* USERFAULTFD_IOC_NEW */
	case 0xAE01:             /* KVM_CREATE_VM */
	case 0xAE41:             /* KVM_CREATE_VCPU */
	case 0x40187542:         /* UDMABUF_CREATE */
		return true;
	}
	return request >= 0xFF01 && request <= 0xFF0A; /* PIDFD_GET_*_NAMESPACE */
}

/* Whether this call, which succeeded, made a descriptor: rules out the variants that do not. */
static __always_inline bool makes_fd(u32 way, struct pt_regs *regs)
{
	switch (way) {
	case HOW_FCNTL: {
		u32 command = (u32)ARG1(regs);

		return command == 0 || command == 1030; /* F_DUPFD, F_DUPFD_CLOEXEC */
	}
	case HOW_IOCTL:
		return ioctl_makes_fd((u32)ARG1(regs));
	case HOW_BPF: {
		u32 command = (u32)ARG0(regs);

		return command < 64 && (BPF_FD_COMMANDS >> command & 1);
	}
	case HOW_SIGNALFD:
		return (s32)ARG0(regs) == -1;
	case HOW_SECCOMP:
		return (ARG0(regs) == 1) && (ARG1(regs) & 8); /* SET_MODE_FILTER with NEW_LISTENER */
	case HOW_LANDLOCK:
		return !(u32)ARG2(regs); /* with flags it answers its version */
	case HOW_CLONE:
		return ARG0(regs) & 0x1000; /* CLONE_PIDFD */
	case HOW_DUP_OVER:
		return (u32)ARG0(regs) != (u32)ARG1(regs);
	}
	return true;
}

static __noinline int deliver(struct birth *birth, struct pt_regs *regs, u32 way, s64 result)
{
	u32 kind = of_syscall(what, birth->nr);

	switch (way) {
	case HOW_PAIR_ARG0:
	case HOW_PAIR_ARG3: {
		s32 pair[2] = { -1, -1 };
		u64 at = way == HOW_PAIR_ARG0 ? ARG0(regs) : ARG3(regs);

		if (bpf_probe_read_user(pair, sizeof(pair), (void *)at))
			return 0;
		if (way == HOW_PAIR_ARG3)
			kind = WHAT_SOCKET | ((u32)ARG0(regs) & 255) << 8 | ((u32)ARG1(regs) & 15) << 16 |
			       ((u32)ARG2(regs) & 255) << 24;
		born(birth, pair[0], kind);
		born(birth, pair[1], kind);
		return 0;
	}
	case HOW_SOCKET:
		kind = WHAT_SOCKET | ((u32)ARG0(regs) & 255) << 8 | ((u32)ARG1(regs) & 15) << 16 |
		       ((u32)ARG2(regs) & 255) << 24;
		break;
	case HOW_CLONE: {
		s32 fd = -1;

		if (!bpf_probe_read_user(&fd, sizeof(fd), (void *)ARG2(regs)) && fd >= 0)
			born(birth, fd, kind);
		return 0;
	}
	case HOW_CLONE3: {
		u64 arguments[2] = {}; /* flags, pidfd */
		s32 fd = -1;

		if (!bpf_probe_read_user(arguments, sizeof(arguments), (void *)ARG0(regs)) &&
		    !bpf_probe_read_user(&fd, sizeof(fd), (void *)arguments[1]) && fd >= 0)
			born(birth, fd, kind);
		return 0;
	}
	case HOW_RECVMSG: {
		struct arrival arrival = { .birth = birth };

		arrive_message(&arrival, ARG1(regs));
		return 0;
	}
	case HOW_RECVMMSG: {
		struct arrival arrival = { .birth = birth, .messages = ARG1(regs) };

		bpf_loop(result > 1024 ? 1024 : (u32)result, arrive_of_many, &arrival, 0);
		return 0;
	}
	}
	born(birth, (u32)result, kind);
	return 0;
}

/* Calls on the busy path of servers (reads of messages, thread creation) whose memory must say that a descriptor is there. */
static __always_inline bool worth_a_look(u32 way, struct pt_regs *regs, s64 result)
{
	if (way == HOW_RECVMSG || way == HOW_RECVMMSG)
		return (way == HOW_RECVMMSG && result > 1) || has_control(ARG1(regs));
	if (way == HOW_CLONE3) {
		u64 flags = 0;

		return result > 0 && !bpf_probe_read_user(&flags, sizeof(flags), (void *)ARG0(regs)) && (flags & 0x1000);
	}
	return way != HOW_CLONE || result > 0;
}

SEC("tp_btf/sys_exit")
int on_sys_exit(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	s64 result = (s64)ctx[1];
	u32 nr = SYSCALL_NR(regs), tgid, way;
	struct process *process;

	way = of_syscall(how, nr);
	if (!way || way == HOW_CLOSE_RANGE)
		return 0;
	if (way == HOW_CLOSE ? result >= 0 : result < 0 && result != -EMFILE && result != -ENFILE)
		return 0;
	process = wanted(&tgid);
	if (!process || IS_COMPAT(bpf_get_current_task_btf()))
		return 0;
	if (way == HOW_CLOSE)
		return close_failed(ctx, regs, process, tgid, (s32)-result);
	if (!makes_fd(way, regs))
		return 0;
	if (result < 0)
		return refused(ctx, regs, process, tgid, nr, (s32)-result);
	if (!worth_a_look(way, regs, result))
		return 0;

	struct birth birth = { .tgid = tgid, .image = process->image, .nr = nr };

	birth.now = bpf_ktime_get_ns();
	birth.who = whoever(process, GO_G(regs), true);
	birth.stack = take_stack(ctx, regs);
	join(&birth, process);
	birth.base = mix(mix(mix(mix(mix(birth.stack, (u64)tgid << 32 | birth.image), nr), birth.caller1), birth.caller2),
			 birth.who.gopc);
	birth.highest_fd = process->highest_fd;
	deliver(&birth, regs, way, result);
	if (birth.highest_fd > process->highest_fd)
		process->highest_fd = birth.highest_fd;
	return 0;
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0];
	struct task_struct *child = (struct task_struct *)ctx[1];
	u32 tgid = parent->tgid, child_tgid = child->tgid;
	struct process fresh = {}, *process;

	if (child->pid != child_tgid)
		return 0;
	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process)
		return 0;
	fresh.parent = tgid;
	fresh.image = process->image;
	fresh.highest_fd = process->highest_fd;
	fresh.start_boot_ns = child->start_boottime;
	fresh.seen_ns = bpf_ktime_get_ns();
	fresh.go = process->go;
	__builtin_memcpy(fresh.starters, process->starters, sizeof(fresh.starters));
	bpf_probe_read_kernel(fresh.comm, sizeof(fresh.comm), parent->comm);
	if (bpf_map_update_elem(&processes, &child_tgid, &fresh, BPF_ANY))
		count(LOST_PROCESSES, 1);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	u32 tgid = task->tgid;
	struct process *process = bpf_map_lookup_elem(&processes, &tgid);

	if (!process)
		return 0;

	struct walk walk = {
		.death = { .now = bpf_ktime_get_ns(), .tgid = tgid },
		.last = process->highest_fd,
		.mode = WALK_EXEC,
	};

	walk_table(&walk, walk.last);
	process->image += 1;
	process->go = process->go_next;
	__builtin_memset(&process->go_next, 0, sizeof(process->go_next));
	__builtin_memset(process->starters, 0, sizeof(process->starters));
	bpf_probe_read_kernel(process->comm, sizeof(process->comm), task->comm);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int on_exit(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	u32 tgid = task->tgid;
	struct process *process;

	if (task->signal->live.counter > 0)
		return 0;
	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process || process->ended_ns)
		return 0;

	struct walk walk = {
		.death = { .now = bpf_ktime_get_ns(), .tgid = tgid },
		.last = process->highest_fd,
		.mode = WALK_EXIT,
	};

	walk_table(&walk, ~0u);
	process->open_at_exit = walk.open;
	process->exit_code = task->signal->group_exit_code ? task->signal->group_exit_code : task->exit_code;
	bpf_probe_read_kernel(process->comm, sizeof(process->comm), task->comm);
	process->flags |= PROCESS_GONE;
	process->ended_ns = walk.death.now;
	return 0;
}

/* Entry of a function in which a goroutine asks others to work for it; the cookie is its role. */
SEC("uprobe")
int on_join(struct pt_regs *ctx)
{
	struct scratch *scratch = NULL;
	struct caller_key key = {};
	struct caller caller = {};
	struct process *process;
	struct who who = {};
	u32 tgid;

	process = wanted(&tgid);
	if (!process)
		return 0;
	count(COUNT_JOIN_HITS, 1);
	for (u32 slot = 1; slot < SCRATCH_SLOTS; slot++) {
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
	read_goroutine(&who, scratch, &process->go, GO_G(ctx), true);
	if (who.goid) {
		/* At the entry of a function the frame pointer is still the caller's, and the return address stands
		 * at the stack pointer (on arm64 in the link register): an unwinder alone would leave the caller out. */
		scratch->stack.ips[0] = IP(ctx);
#if defined(LEADLINE_X86_64)
		scratch->stack.ips[1] = 0;
		bpf_probe_read_user(&scratch->stack.ips[1], sizeof(u64), (void *)ctx->sp);
		caller.stack = unwind(scratch, ctx->bp, ctx->sp);
#else
		long size = bpf_get_stack(ctx, &scratch->stack.ips[2], sizeof(scratch->stack.ips) - 16, BPF_F_USER_STACK | 1);

		scratch->stack.ips[1] = ctx->regs[30];
		scratch->stack.count = 2 + (size > 0 ? size / 8 : 0);
		caller.stack = hash_frames(&scratch->stack, scratch->stack.count);
#endif
		keep_stack(caller.stack, &scratch->stack);
		key.goid = who.goid;
		key.tgid = tgid;
		caller.parent = who.parent;
		caller.gopc = who.gopc;
		caller.role = bpf_get_attach_cookie(ctx);
		bpf_map_update_elem(&callers, &key, &caller, BPF_ANY);
	}
	scratch->busy = 0;
	return 0;
}

SEC("iter/task_file")
int on_table(struct bpf_iter__task_file *ctx)
{
	/* Read once: the verifier forgets a null check when the field is read again. */
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct seq_file *seq = ctx->meta->seq;
	struct table_row row = {};
	struct files_struct *files;
	const struct aim *now = aim();
	struct inode *inode;
	u64 bits = 0, word = 0;

	if (!task || !file)
		return 0;
	row.tgid = task->tgid;
	if (now && now->table_tgid && now->table_tgid != row.tgid)
		return 0;
	row.tid = task->pid;
	row.fd = ctx->fd;
	row.flags = file->f_flags;
	row.file = (u64)file;
	row.operations = (u64)file->f_op;
	inode = file->f_inode;
	row.inode = inode->i_ino;
	row.device = inode->i_sb->s_dev;
	row.mode = inode->i_mode;
	row.rdev = inode->i_rdev;
	row.kind = kind_of_file((u64)file);
	files = task->files;
	bits = (u64)files->fdt->close_on_exec;
	if (!bpf_probe_read_kernel(&word, sizeof(word), (void *)(bits + 8ULL * (row.fd / 64))))
		row.cloexec = (word >> (row.fd & 63)) & 1;
	bpf_seq_write(seq, &row, sizeof(row));
	return 0;
}
