/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * The few kernel types that the programs read, declared by hand.
 *
 * Only names count: every access is relocated against the running kernel's BTF when the program is loaded (CO-RE),
 * so neither the order nor the completeness of these fields matters.
 */
#ifndef LEADLINE_KERNEL_H
#define LEADLINE_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __le16;
typedef __u32 __le32;
typedef __u64 __le64;
typedef __u32 __wsum;
typedef __u16 __sum16;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
#define true 1
#define false 0

#define NULL ((void *)0)

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
};

#define BPF_ANY 0
#define BPF_NOEXIST 1
#define BPF_F_NO_PREALLOC 1
#define BPF_F_USER_STACK (1ULL << 8)

#define EMFILE 24
#define ENFILE 23
#define EBADF 9

#define S_IFMT 0170000
#define S_IFSOCK 0140000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
	unsigned int s_dev;
};

struct inode {
	u16 i_mode;
	unsigned int i_rdev;
	struct super_block *i_sb;
	unsigned long i_ino;
};

struct file_operations;

struct file {
	const struct file_operations *f_op;
	void *private_data;
	struct inode *f_inode;
	unsigned int f_flags;
};

struct sock_common {
	u16 skc_family;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	u16 sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *close_on_exec;
	unsigned long *open_fds;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int group_exit_code;
};

struct thread_info {
	unsigned long flags;
	u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	int pid;
	int tgid;
	int exit_code;
	u64 start_boottime;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct linux_binprm;

#if defined(LEADLINE_X86_64)

struct pt_regs {
	unsigned long r14;
	unsigned long bp;
	unsigned long r10;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long sp;
};

#elif defined(LEADLINE_ARM64)

struct pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
	u64 orig_x0;
	s32 syscallno;
};

#else
#error "define LEADLINE_X86_64 or LEADLINE_ARM64"
#endif

#pragma clang attribute pop

/* System call arguments, number, and the register in which Go keeps the running goroutine. */
#if defined(LEADLINE_X86_64)
#define ARG0(r) ((r)->di)
#define ARG1(r) ((r)->si)
#define ARG2(r) ((r)->dx)
#define ARG3(r) ((r)->r10)
#define SYSCALL_NR(r) ((u32)(r)->orig_ax)
#define GO_G(r) ((r)->r14)
#define IP(r) ((r)->ip)
#define TS_COMPAT 0x2
#define IS_COMPAT(task) ((task)->thread_info.status & TS_COMPAT)
#else
#define ARG0(r) ((r)->orig_x0)
#define ARG1(r) ((r)->regs[1])
#define ARG2(r) ((r)->regs[2])
#define ARG3(r) ((r)->regs[3])
#define SYSCALL_NR(r) ((u32)(r)->syscallno)
#define GO_G(r) ((r)->regs[28])
#define IP(r) ((r)->pc)
#define TIF_32BIT (1UL << 22)
#define IS_COMPAT(task) ((task)->thread_info.flags & TIF_32BIT)
#endif

#endif
