/* What the probes need of the kernel: its types as far as they are read, relocated by BTF at load (CO-RE), and its helpers by number. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NULL ((void *)0)

/* include/uapi/linux/bpf.h */
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERF_EVENT_ARRAY 4
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_ANY 0
#define BPF_F_CURRENT_CPU 0xffffffffULL
#define BPF_F_USER_STACK (1ULL << 8)

#define MAP_UINT(name, value) int(*name)[value]
#define MAP_TYPE(name, type) type *name

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_perf_event_output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static long (*bpf_get_stack)(void *ctx, void *buf, u32 size, u64 flags) = (void *)67;
static long (*bpf_probe_read_user)(void *dst, u32 size, const void *address) = (void *)112;
static long (*bpf_probe_read_kernel)(void *dst, u32 size, const void *address) = (void *)113;
static u64 (*bpf_get_attach_cookie)(void *ctx) = (void *)174;
static void *(*bpf_get_current_task_btf)(void) = (void *)158;
static long (*bpf_task_pt_regs)(void *task) = (void *)175;

#define CORE __attribute__((preserve_access_index))

/* The flavour suffix (three underscores) keeps these apart from the kernel's own types; the loader matches the part before it. */
struct ns_common___g {
	u32 inum;
} CORE;

struct pid_namespace___g {
	struct ns_common___g ns;
} CORE;

struct upid___g {
	s32 nr;
	struct pid_namespace___g *ns;
} CORE;

struct pid___g {
	u32 level;
	/* Longer at run time; aya-obj does not relocate an access through an array of no length. */
	struct upid___g numbers[1];
} CORE;

#ifdef __TARGET_ARCH_arm64
/* arch/arm64/include/asm/processor.h */
#define THREAD_POINTER uw.tp_value
struct thread_struct___g {
	struct {
		unsigned long tp_value;
	} uw;
} CORE;
#else
#define THREAD_POINTER fsbase
struct thread_struct___g {
	unsigned long fsbase;
} CORE;
#endif

struct task_struct___g {
	unsigned int __state;
	s32 pid;
	s32 tgid;
	struct task_struct___g *group_leader;
	struct pid___g *thread_pid;
	struct thread_struct___g thread;
} CORE;

/* Before Linux 5.14. */
struct task_struct___old {
	long state;
} CORE;

/* arch/{x86,arm64}/include/asm/ptrace.h, as the kernel hands it to uprobes and perf events. */
struct pt_regs {
#ifdef __TARGET_ARCH_arm64
	u64 regs[31], sp, pc, pstate;
#else
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
#endif
};

#define READ_FIELD(dst, pointer, field) bpf_probe_read_kernel(&(dst), sizeof(dst), __builtin_preserve_access_index(&(pointer)->field))
