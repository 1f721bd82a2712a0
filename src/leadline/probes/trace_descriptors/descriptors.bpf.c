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
#include "births.h"
#include "walk.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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
		caller.stack = take_entry_stack(ctx, scratch);
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
