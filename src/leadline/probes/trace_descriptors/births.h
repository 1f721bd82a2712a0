/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Which descriptors a successful call made, and for whom. */
#ifndef LEADLINE_BIRTHS_H
#define LEADLINE_BIRTHS_H

#include "lives.h"

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

#endif
