/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Writes one record per open descriptor of a process: what proc/PID/fd and its links tell, and which descriptors share
 * one open file, at a quarter of the cost.
 *
 * The kernel types are declared by hand with the few fields that are read; accesses are relocated against the running
 * kernel's BTF when the program is loaded (CO-RE).
 */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;

#define NULL ((void *)0)

enum bpf_map_type {
	BPF_MAP_TYPE_ARRAY = 2,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
	unsigned int s_dev;
};

struct inode {
	__u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
};

struct file_operations;

struct file {
	const struct file_operations *f_op;
	struct inode *f_inode;
	unsigned int f_flags;
};

struct sock_common {
	__u16 skc_family;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct fdtable {
	unsigned long *close_on_exec;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct {
	int pid;
	int tgid;
	struct files_struct *files;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct open_file {
	__u32 tgid;
	__u32 tid;
	__u32 fd;
	__u32 flags;
	__u64 file;       /* address: equal for duplicates */
	__u64 operations; /* address of file_operations: equal for equal types */
	__u64 inode;
	__u32 device;
	__u16 mode;
	__u16 family; /* of a socket; 0 is none */
	__u16 protocol;
	__u8 cloexec;
	__u8 reserved[5];
};

/* Never used: it brings the layout of the record into the object's types. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_file);
} layout SEC(".maps");

SEC("iter/task_file")
int on_table(struct bpf_iter__task_file *ctx)
{
	/* Read once: the verifier forgets a null check when the field is read again. */
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct seq_file *seq = ctx->meta->seq;
	struct open_file row = {};
	struct socket *socket;
	struct inode *inode;
	unsigned long *bits;
	__u64 word = 0;

	if (!task || !file)
		return 0;
	row.tgid = task->tgid;
	row.tid = task->pid;
	row.fd = ctx->fd;
	row.flags = file->f_flags;
	row.file = (__u64)file;
	row.operations = (__u64)file->f_op;
	inode = file->f_inode;
	row.inode = inode->i_ino;
	row.device = inode->i_sb->s_dev;
	row.mode = inode->i_mode;
	socket = bpf_sock_from_file(file);
	if (socket) {
		struct sock *sk = BPF_CORE_READ(socket, sk);

		row.family = BPF_CORE_READ(sk, __sk_common.skc_family);
		row.protocol = BPF_CORE_READ(sk, sk_protocol);
	}
	bits = BPF_CORE_READ(task, files, fdt, close_on_exec);
	if (!bpf_probe_read_kernel(&word, sizeof(word), bits + row.fd / 64))
		row.cloexec = (word >> (row.fd & 63)) & 1;
	bpf_seq_write(seq, &row, sizeof(row));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
