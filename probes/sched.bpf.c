/* Scheduler stack snapshots: where the target's threads are on a CPU, and where they leave one.
 *
 * Every process of the host runs through on_switch, so it first compares two numbers and returns. */
#include "go.h"

char LICENSE[] SEC("license") = "GPL";

const volatile u32 target_tgid;
/* Where the target is numbered in a pid namespace below the first one: that namespace's inode, the process's number there. 0: not so. */
const volatile u32 pid_ns, target_ns_pid;
const volatile u32 with_switch_stacks, has_prev_state;

/* runtime.pollDesc */
const volatile u32 poll_rg, poll_wg;

/* include/linux/sched.h: what of a task's state says why it sleeps (TASK_REPORT and TASK_DEAD). */
#define TASK_DEAD 0x80
#define STATE_MASK 0xff

struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	MAP_UINT(key_size, 4);
	MAP_UINT(value_size, 4);
} events SEC(".maps");

/* The target's threads that are off a CPU, by tid. */
struct off_cpu {
	u64 out_ns;
	u64 ready_ns;
	u32 preempted;
	u32 told;
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(max_entries, 65536);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct off_cpu);
} off SEC(".maps");

enum counter {
	SENT,
	FAILED,
	/* Switches away from a thread of the target, with and without a goroutine. */
	SWITCHES_G,
	SWITCHES_IDLE,
	SAMPLES_G,
	SAMPLES_IDLE,
	WAKEUPS,
	NO_ROOM,
	/* From here on a histogram of waits for a CPU: 44 powers of two from 2^9 ns, in 4 parts each. */
	CPU_QUEUE = 16,
	/* And the hits of each site. */
	SITE_HITS = CPU_QUEUE + 176,
	COUNTERS = SITE_HITS + SITES,
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_UINT(max_entries, COUNTERS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} counters SEC(".maps");

/* One a program, since the clock's interrupt may come while a switch is told. Neither program is preemptible. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_UINT(max_entries, 2);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct stacked);
} scratch SEC(".maps");

/* Of Ps with larger numbers nobody can say who was the last to hold them. */
#define MAX_PS 1024

/* The g that each P ran when it was last asked to stop; by it a stop finds whom to tell of. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, MAX_PS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} asked SEC(".maps");

/* The number that the first namespace gives to a target known by that of another one; found at its first switch. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} found SEC(".maps");

ALWAYS_INLINE void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&counters, &counter);
	if (value)
		*value += 1;
}

ALWAYS_INLINE void send(void *ctx, struct head *head, u64 size)
{
	u32 sent = SENT, failed = FAILED;
	u64 *value = bpf_map_lookup_elem(&counters, &sent);
	if (!value)
		return;
	*value += 1;
	head->number = *value;
	head->cpu = bpf_get_smp_processor_id();
	if (bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, head, size))
		count(failed);
}

/* The number of a process or thread in the namespace `pid_ns`; 0 if it has none. */
ALWAYS_INLINE u32 number_in_namespace(struct task_struct___g *task)
{
	struct pid___g *pid = NULL;
	u32 level = 0;
	READ_FIELD(pid, task, thread_pid);
	if (!pid)
		return 0;
	READ_FIELD(level, pid, level);
	for (u32 i = 0; i < 8; i++) {
		struct upid___g *upid;
		struct pid_namespace___g *ns = NULL;
		u32 inum = 0;
		s32 nr = 0;
		if (i > level)
			break;
		upid = __builtin_preserve_access_index(&pid->numbers[0]);
		upid = (void *)upid + i * __builtin_preserve_type_info(*upid, 1);
		READ_FIELD(ns, upid, ns);
		if (!ns)
			continue;
		READ_FIELD(inum, ns, ns.inum);
		READ_FIELD(nr, upid, nr);
		if (inum == pid_ns)
			return nr;
	}
	return 0;
}

ALWAYS_INLINE int is_target(struct task_struct___g *task, u32 tgid)
{
	u32 zero = 0;
	u64 *known;
	struct task_struct___g *leader = NULL;
	if (!pid_ns)
		return tgid == target_tgid;
	known = bpf_map_lookup_elem(&found, &zero);
	if (!known)
		return 0;
	if (*known)
		return tgid == (u32)*known;
	READ_FIELD(leader, task, group_leader);
	if (!leader || number_in_namespace(leader) != target_ns_pid)
		return 0;
	*known = tgid;
	return 1;
}

ALWAYS_INLINE u32 tid_of(struct task_struct___g *task)
{
	return pid_ns ? number_in_namespace(task) : task->pid;
}

ALWAYS_INLINE u64 thread_pointer(struct task_struct___g *task)
{
	u64 base = 0;
	READ_FIELD(base, task, thread.fsbase);
	return base;
}

/* Copies so much of a stack, or up to the page's end when what lies behind is not the stack's any more; returns the length. */
ALWAYS_INLINE u32 copy_stack(u64 *to, u64 from, u32 bytes)
{
	u32 rest = (4096 - (from & 4095)) & ~7u;
	if (!bpf_probe_read_user(to, bytes, (void *)from))
		return bytes;
	if (rest == 0 || rest >= bytes || bpf_probe_read_user(to, rest, (void *)from))
		return 0;
	return rest;
}

/* Fills in the current thread's stacks, and returns the record's length. */
ALWAYS_INLINE u64 add_stacks(void *ctx, struct stacked *record, int with_kernel)
{
	struct pt_regs *registers = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	long got;
	u64 at = 0;
	struct pt_regs user = {};
	bpf_probe_read_kernel(&user, sizeof(user), registers);
	record->ip = user.ip;
	record->sp = user.sp;
	record->bp = user.bp;
	record->bx = user.bx;
	record->r12 = user.r12;
	record->r13 = user.r13;
	record->r14 = user.r14;
	record->r15 = user.r15;
	record->kernel_frames = record->user_frames = record->top_bytes = record->c_caller_bytes = 0;
	if (with_kernel) {
		got = bpf_get_stack(ctx, record->data, MAX_KERNEL_FRAMES * 8, 0);
		if (got > 0 && got <= MAX_KERNEL_FRAMES * 8) {
			record->kernel_frames = got / 8;
			at = got / 8;
		}
	}
	at &= 63;
	got = bpf_get_stack(ctx, &record->data[at], MAX_USER_FRAMES * 8, BPF_F_USER_STACK);
	if (got > 0 && got <= MAX_USER_FRAMES * 8) {
		record->user_frames = got / 8;
		at += got / 8;
	}
	at &= 255;
	if (record->go.in_c) {
		record->top_bytes = copy_stack(&record->data[at], record->sp, C_TOP_WORDS * 8);
		at += record->top_bytes / 8;
		at &= DATA_WORDS / 2 - 1;
		/* From where Go called C, pclntab knows the way. */
		if (record->go.syscall_sp && at < DATA_WORDS / 2 - C_CALLER_WORDS) {
			record->c_caller_bytes = copy_stack(&record->data[at], record->go.syscall_sp, C_CALLER_WORDS * 8);
			at += record->c_caller_bytes / 8;
		}
	} else {
		record->top_bytes = copy_stack(&record->data[at], record->sp, TOP_WORDS * 8);
		at += record->top_bytes / 8;
	}
	at &= DATA_WORDS / 2 - 1;
	if (record->go.labels) {
		record->go.label_count = copy_labels((void *)&record->data[at], record->go.labels);
		at += record->go.label_count * (sizeof(struct label) / 8);
	}
	at &= DATA_WORDS - 1;
	return __builtin_offsetof(struct stacked, data) + at * 8;
}

ALWAYS_INLINE struct stacked *scratch_of(u32 program)
{
	return bpf_map_lookup_elem(&scratch, &program);
}

ALWAYS_INLINE void switched_out(u64 *ctx, struct task_struct___g *prev, u64 state)
{
	u32 key = prev->pid;
	struct off_cpu entry = {};
	struct stacked *record;
	u64 size;
	if (state & TASK_DEAD) {
		bpf_map_delete_elem(&off, &key);
		return;
	}
	entry.out_ns = bpf_ktime_get_ns();
	entry.preempted = state == 0;
	if (entry.preempted)
		entry.ready_ns = entry.out_ns;
	record = scratch_of(0);
	if (!record)
		return;
	if (read_go(&record->go, m_of(thread_pointer(prev)))) {
		count(SWITCHES_G);
		entry.told = 1;
	} else {
		count(SWITCHES_IDLE);
	}
	if (bpf_map_update_elem(&off, &key, &entry, BPF_ANY)) {
		count(NO_ROOM);
		return;
	}
	if (!entry.told || !with_switch_stacks)
		return;
	record->head.time_ns = entry.out_ns;
	record->head.kind = KIND_SWITCH_OUT;
	record->head.tid = tid_of(prev);
	record->head.detail = state;
	size = add_stacks(ctx, record, 1);
	if (size && size <= sizeof(*record))
		send(ctx, &record->head, size);
}

/* As src/probes/queue.rs has it. */
ALWAYS_INLINE u32 queue_bucket(u64 ns)
{
	u32 power = 0;
	u64 rest = ns >> 9;
	if (!rest)
		return 0;
	if (rest >> 32) { power += 32; rest >>= 32; }
	if (rest >> 16) { power += 16; rest >>= 16; }
	if (rest >> 8) { power += 8; rest >>= 8; }
	if (rest >> 4) { power += 4; rest >>= 4; }
	if (rest >> 2) { power += 2; rest >>= 2; }
	if (rest >> 1) { power += 1; }
	if (power > 42)
		power = 42;
	return 4 * (power + 1) + ((ns >> (power + 7)) & 3);
}

ALWAYS_INLINE void switched_in(u64 *ctx, struct task_struct___g *next)
{
	u32 key = next->pid;
	struct off_cpu *entry = bpf_map_lookup_elem(&off, &key);
	struct switched_in record = {};
	record.head.time_ns = bpf_ktime_get_ns();
	if (!entry) {
		/* Off its CPU since before the probes were there: the first switch of this thread that they see. */
		if (with_switch_stacks) {
			record.head.kind = KIND_SWITCH_IN;
			record.head.tid = tid_of(next);
			send(ctx, &record.head, sizeof(record));
		}
		return;
	}
	if (entry->ready_ns)
		count(CPU_QUEUE + (queue_bucket(record.head.time_ns - entry->ready_ns) & 255));
	if (entry->told && with_switch_stacks) {
		record.head.kind = KIND_SWITCH_IN;
		record.head.tid = tid_of(next);
		record.head.detail = entry->preempted;
		record.out_ns = entry->out_ns;
		record.ready_ns = entry->ready_ns;
		send(ctx, &record.head, sizeof(record));
	}
	bpf_map_delete_elem(&off, &key);
}

/* include/trace/events/sched.h: (bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state); the last
 * one since Linux 5.18, before that the state is read from the task. */
SEC("tp_btf/sched_switch")
int on_switch(u64 *ctx)
{
	struct task_struct___g *prev = (void *)ctx[1];
	struct task_struct___g *next = (void *)ctx[2];
	if (is_target(prev, prev->tgid)) {
		u64 state = has_prev_state ? (u32)ctx[3] : prev->__state;
		switched_out(ctx, prev, state & STATE_MASK);
	}
	if (is_target(next, next->tgid))
		switched_in(ctx, next);
	return 0;
}

ALWAYS_INLINE int woken(struct task_struct___g *task)
{
	u32 key;
	struct off_cpu *entry;
	if (!is_target(task, task->tgid))
		return 0;
	key = task->pid;
	entry = bpf_map_lookup_elem(&off, &key);
	count(WAKEUPS);
	if (entry && !entry->ready_ns)
		entry->ready_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sched_wakeup")
int on_wakeup(u64 *ctx)
{
	return woken((void *)ctx[0]);
}

/* The clock of one CPU, whoever runs on it. */
SEC("perf_event")
int on_sample(void *ctx)
{
	struct task_struct___g *task = bpf_get_current_task_btf();
	struct stacked *record;
	u64 size;
	u32 has_goroutine;
	if (!is_target(task, bpf_get_current_pid_tgid() >> 32))
		return 0;
	record = scratch_of(1);
	if (!record)
		return 0;
	has_goroutine = read_go(&record->go, m_of(thread_pointer(task)));
	count(has_goroutine ? SAMPLES_G : SAMPLES_IDLE);
	record->head.time_ns = bpf_ktime_get_ns();
	record->head.kind = KIND_SAMPLE;
	record->head.tid = tid_of(task);
	record->head.detail = has_goroutine;
	size = add_stacks(ctx, record, 1);
	if (size && size <= sizeof(*record))
		send(ctx, &record->head, size);
	return 0;
}

/* Return addresses by frame pointers, behind the first n that are known. */
ALWAYS_INLINE u32 return_addresses(u64 *pcs, u32 n, u64 bp)
{
	u64 pair[2];
	for (; n < SITE_FRAMES; n++) {
		if (!bp || bpf_probe_read_user(pair, sizeof(pair), (void *)bp))
			break;
		if (!pair[1])
			break;
		pcs[n] = pair[1];
		bp = pair[0];
	}
	return n;
}

/* The site is where the caller's frame pointer still stands and the return address lies at sp. */
ALWAYS_INLINE u32 site_stack(u64 *pcs, struct pt_regs *ctx)
{
	pcs[0] = ctx->ip;
	pcs[1] = user_word(ctx->sp);
	return return_addresses(pcs, 2, ctx->bp);
}

/* Of a goroutine that has just given up its P (runtime/asm_amd64.s: mcall, morestack). The second is a return address only if it did so
 * in the prologue of a function; whoever has pclntab knows. */
ALWAYS_INLINE u32 parked_stack(u64 *pcs, u64 g)
{
	pcs[0] = user_word(g + g_sched_pc);
	pcs[1] = user_word(user_word(g + g_sched_sp));
	return return_addresses(pcs, 2, user_word(g + g_sched_bp));
}

ALWAYS_INLINE void subject(struct transition *record, u64 g)
{
	record->goid = g ? user_word(g + g_goid) : 0;
	record->go_pc = g ? user_word(g + g_go_pc) : 0;
}

ALWAYS_INLINE void tell(struct pt_regs *ctx, struct transition *record, u32 site, int with_stack)
{
	u64 size = sizeof(*record);
	record->head.time_ns = bpf_ktime_get_ns();
	record->head.kind = KIND_SITE;
	record->head.detail = site;
	record->head.tid = pid_ns ? number_in_namespace(bpf_get_current_task_btf()) : (u32)bpf_get_current_pid_tgid();
	if (with_stack)
		record->frames = site_stack(record->pcs, ctx);
	else if (!record->frames)
		size = __builtin_offsetof(struct transition, pcs);
	send(ctx, &record->head, size);
}

/* Arguments stand in AX, BX, CX, DI (ABIInternal), g in R14; at the sites they are as the caller set them. */
SEC("uprobe")
int on_site(struct pt_regs *ctx)
{
	struct transition record = {};
	u32 site = bpf_get_attach_cookie(ctx);
	u64 m = user_word(ctx->r14 + g_m), curg, p, g, *held;
	u32 id;
	count(SITE_HITS + (site & (SITES - 1)));
	curg = m ? user_word(m + m_curg) : 0;
	p = m ? user_word(m + m_p) : 0;
	record.m = m;
	record.p = p ? (s32)user_u32(p + p_id) : -1;
	record.by_goid = curg ? user_word(curg + g_goid) : 0;
	record.by_go_pc = curg ? user_word(curg + g_go_pc) : 0;
	switch (site) {
	case SITE_RUNQPUT:
		subject(&record, ctx->bx);
		record.p = (s32)user_u32(ctx->ax + p_id);
		tell(ctx, &record, site, 1);
		return 0;
	case SITE_NETPOLLREADY:
		/* internal/poll modes: 'r', 'w', and both added. A word of 0, 1 or 2 is no goroutine (runtime/netpoll.go: pdReady, pdWait). */
		record.reason = ctx->cx;
		if ((u32)ctx->cx == 'r' || (u32)ctx->cx == 'r' + 'w') {
			g = user_word(ctx->bx + poll_rg);
			if (g > 2) {
				subject(&record, g);
				tell(ctx, &record, site, 0);
			}
		}
		if ((u32)ctx->cx == 'w' || (u32)ctx->cx == 'r' + 'w') {
			g = user_word(ctx->bx + poll_wg);
			if (g > 2) {
				subject(&record, g);
				tell(ctx, &record, site, 0);
			}
		}
		return 0;
	case SITE_GOSCHED:
	case SITE_EXECUTE:
	case SITE_GODEAD:
		subject(&record, ctx->ax);
		tell(ctx, &record, site, 0);
		return 0;
	case SITE_GOPARK:
		subject(&record, ctx->r14);
		record.reason = ctx->cx & 0xff;
		tell(ctx, &record, site, 1);
		return 0;
	case SITE_GC_START:
	case SITE_STW_BEGIN:
		subject(&record, curg);
		record.reason = ctx->ax & 0xff;
		tell(ctx, &record, site, 1);
		return 0;
	case SITE_PREEMPTONE:
		/* Of a P that runs, by one who has a P himself: by whoever stops the world, not by sysmon. */
		m = user_word(ctx->ax + p_m);
		g = m ? user_word(m + m_curg) : 0;
		if (!p || !g)
			return 0;
		record.p = (s32)user_u32(ctx->ax + p_id);
		id = record.p;
		bpf_map_update_elem(&asked, &id, &g, BPF_ANY);
		subject(&record, g);
		tell(ctx, &record, site, 0);
		return 0;
	case SITE_GCSTOPM:
		id = record.p;
		held = bpf_map_lookup_elem(&asked, &id);
		if (held && *held) {
			subject(&record, *held);
			record.frames = parked_stack(record.pcs, *held);
		}
		tell(ctx, &record, site, 0);
		return 0;
	case SITE_GCWAIT:
		subject(&record, curg);
		tell(ctx, &record, site, 1);
		return 0;
	default:
		subject(&record, curg);
		tell(ctx, &record, site, 0);
		return 0;
	}
}
