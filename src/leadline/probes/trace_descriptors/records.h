/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Keys and values of the maps: what user space reads.
 *
 * The build reads these layouts from the object's BTF and commits them beside the blobs; Python makes its numpy
 * types from that, so this file is the only definition. No implicit padding: a key must have no unset byte.
 */
#ifndef LEADLINE_RECORDS_H
#define LEADLINE_RECORDS_H

#define MAX_FRAMES 64
#define MAX_SYSCALLS 512
/* Lifetimes: bucket 0 is < 1024 ns, then 4 buckets per octave from 2^10 to 2^46 ns (19 h), the last is open. */
#define HIST_FIRST_LOG2 10
#define HIST_OCTAVES 36
#define HIST_BUCKETS (1 + 4 * HIST_OCTAVES)
#define FAILED_FDS 16

/* How a system call hands out descriptors: values of the `how` table, indexed by system call number. */
enum __attribute__((packed)) how {
	HOW_NONE,
	HOW_RETURN,     /* the return value */
	HOW_PAIR_ARG0,  /* two ints at argument 0: pipe */
	HOW_PAIR_ARG3,  /* two ints at argument 3: socketpair */
	HOW_SOCKET,     /* return value; family, type, protocol in the arguments */
	HOW_DUP_OVER,   /* dup2, dup3: return value, closes what was there */
	HOW_FCNTL,
	HOW_IOCTL,
	HOW_BPF,
	HOW_SIGNALFD,   /* a birth only when argument 0 is -1 */
	HOW_SECCOMP,
	HOW_LANDLOCK,
	HOW_CLONE,
	HOW_CLONE3,
	HOW_RECVMSG,
	HOW_RECVMMSG,
	HOW_CLOSE,
	HOW_CLOSE_RANGE,
};

/* Lowest byte of a kind code; sockets carry family << 8, type << 16, protocol << 24. */
enum __attribute__((packed)) what {
	WHAT_BY_FILE = 0, /* in the `what` table: ask the file. In a kind code: not known. */
	WHAT_SOCKET = 1,
	WHAT_REGULAR = 2,
	WHAT_DIRECTORY = 3,
	WHAT_CHAR_DEVICE = 4,
	WHAT_BLOCK_DEVICE = 5,
	WHAT_PIPE = 6,
	WHAT_ANONYMOUS = 7, /* an anonymous inode of a type the call does not tell (a duplicate of one) */
	WHAT_EVENTPOLL = 16,
	WHAT_EVENTFD,
	WHAT_TIMERFD,
	WHAT_SIGNALFD,
	WHAT_INOTIFY,
	WHAT_FANOTIFY,
	WHAT_MEMFD,
	WHAT_USERFAULTFD,
	WHAT_PIDFD,
	WHAT_PERF_EVENT,
	WHAT_BPF,
	WHAT_IO_URING,
	WHAT_OTHER,
};

enum counter {
	LOST_FDS,          /* `fds` was full: births without an entry */
	LOST_SITES,        /* `sites` was full */
	LOST_STACKS,       /* `stacks` was full */
	LOST_FAILURES,
	LOST_REFUSALS,
	LOST_PROCESSES,    /* forks that did not fit */
	LOST_SCRATCH,      /* join probe found every scratch buffer of its CPU in use */
	FAILED_STACK,      /* not even the first frame could be had */
	MISSED_DEATHS,     /* a birth on a number that was believed open: its death came another way */
	COUNT_JOIN_HITS,
	COUNT_JOIN_USED,   /* births that found their caller */
	COUNT_CLOSE_STACKS,
	FAILED_SCM,        /* control messages that could not be read to their end */
	COUNTERS,
};

struct aim {
	u32 only_tgid;  /* the one process of interest; 0: look each up in `processes` */
	u32 table_tgid; /* whose table the iterator shows; 0: all */
	u32 join;       /* join probes are attached: look for callers */
	u32 zero;
};

/* Offsets into the runtime's g, in bytes; 0 means unknown. self is g.sched.g, which points at its own g. */
struct go_offsets {
	u16 self;
	u16 goid;
	u16 parent;
	u16 gopc;
};

/* Addresses [first, end) of a function whose go statements start work for their caller. */
#define MAX_STARTERS 8
struct starter {
	u64 first;
	u64 end;
};

enum process_flag {
	PROCESS_ARMED = 1, /* a close failed: keep the stack of every close from now on */
	PROCESS_GONE = 2,
};

struct process {
	u32 parent;
	u32 image;     /* how often it called exec while traced; addresses are only comparable within one image */
	u32 highest_fd;
	enum process_flag flags;
	u64 start_boot_ns;
	u64 seen_ns;   /* when tracing of it began (fork or start) */
	u64 ended_ns;
	u32 open_at_exit;
	s32 exit_code; /* as wait(2) has it */
	struct go_offsets go;
	struct go_offsets go_next; /* becomes `go` at the next exec */
	char comm[16];
	struct starter starters[MAX_STARTERS]; /* of the present image; all zero: no caller is looked for */
};

struct fd_key {
	u32 tgid;
	u32 fd;
};

enum fd_state {
	FD_ALIVE = 1,
	FD_AT_EXIT = 2, /* was open when its process ended */
};

/* One number of one process: its present or last life, and who closed the life before. */
struct fd_life {
	enum fd_state state;
	u32 kind;
	u64 born_ns;   /* 0: the birth was not seen */
	u64 site;
	u64 file;      /* address of the struct file: identity, never read through */
	u64 owner;     /* goroutine id, or tid with the top bit set */
	u32 tid;
	u32 nr;
	u64 died_ns;
	u64 closer;
	u64 close_stack;
	u64 previous_closer;
};

struct site {
	u32 tgid;
	u32 image;
	u32 kind;
	u32 nr;
	u64 stack;
	u64 caller1;
	u64 caller2;
	u64 gopc;
	u64 births;
	u64 deaths;
	u64 deaths_unseen;   /* part of deaths: came by a way without a time, not in the histogram */
	u64 deaths_foreign;  /* part of deaths: closed by another goroutine or thread than the maker */
	u64 first_ns;
	u64 last_ns;
	u32 lifetimes[HIST_BUCKETS];
	u32 reserved;
};

struct stack {
	u64 count;
	u64 ips[MAX_FRAMES];
};

struct caller_key {
	u64 goid;
	u32 tgid;
	u32 zero;
};

enum caller_role {
	CALLER_ASKS = 1,   /* the goroutine that wants the descriptor: stop here */
	CALLER_RELAYS = 2, /* works for another one: look further at its parent */
};

struct caller {
	u64 stack;
	u64 parent;
	u64 gopc;
	enum caller_role role;
	u32 zero;
};

enum failed {
	FAILED_KNOWN = 1,            /* the number had a life or a death while traced */
	FAILED_BORN = 2,             /* the birth of its last life was seen */
	FAILED_ALIVE = 4,            /* the number is believed open */
	FAILED_CLOSER_OWNED = 8,     /* last close came from the maker of that life */
	FAILED_CALLER_OWNED = 16,    /* the failing call comes from the maker of that life */
	FAILED_CALLER_CLOSED = 32,   /* the failing call comes from who closed that life */
	FAILED_CLOSER_REPEATED = 64, /* who closed the last life had closed the life before too */
};

struct failure_key {
	u32 tgid;
	u32 image;
	s32 error;
	enum failed flags;
	u64 stack;
	u64 victim_site;
	u64 culprit_stack;
};

struct failure {
	u64 count;
	u64 first_ns;
	u64 last_ns;
	u32 fds[FAILED_FDS];
};

struct refusal_key {
	u32 tgid;
	u32 image;
	u32 nr;
	s32 error;
	u64 stack;
};

struct refusal {
	u64 count;
	u64 first_ns;
	u64 last_ns;
};

/* One open descriptor as the task_file iterator sees it. */
struct table_row {
	u32 tgid;
	u32 tid;
	u32 fd;
	u32 flags;
	u64 file;
	u64 operations; /* address of file_operations: equal for equal types */
	u64 inode;
	u32 device;
	u32 mode;
	u32 rdev;
	u32 kind;
	u32 cloexec;
	u32 reserved;
};

#endif
