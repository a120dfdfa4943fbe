/* What the probes send: one record an event, read by src/probes/wire.rs. All little-endian, 8-byte aligned. */
#pragma once
#include "kernel.h"

#define MAX_USER_FRAMES 127
#define MAX_KERNEL_FRAMES 32
/* Of the user stack at sp: enough to prove who called the innermost function. */
#define TOP_WORDS 32
/* The same inside C, where only unwind tables know the way. */
#define C_TOP_WORDS 512
/* Of a goroutine's stack at the point where it went into C: enough for pclntab to find the way from there on. */
#define C_CALLER_WORDS 256
/* Of one transition; they stand on the probe's own stack. */
#define SITE_FRAMES 20

/* Labels of a goroutine, and how much of each is copied. */
#define MAX_LABELS 8
#define LABEL_KEY 40
#define LABEL_VALUE 80

/* More than all of them, so that a masked length never passes the end. */
#define DATA_WORDS 2048

enum kind {
	KIND_SAMPLE = 1,
	KIND_SWITCH_OUT = 2,
	KIND_SWITCH_IN = 3,
	KIND_SITE = 4,
};

/* What the thread's M was doing: runtime.m.curg and what hangs on it. All zero when the scheduler itself ran. */
struct go {
	u64 m;
	u64 g;
	u64 goid;
	u64 go_pc;
	u64 labels;
	u64 syscall_pc;
	u64 syscall_sp;
	u32 status;
	s32 p;
	u32 in_c;
	u32 label_count;
};

/* One pprof label. The lengths are the whole ones. */
struct label {
	u32 key_bytes;
	u32 value_bytes;
	char key[LABEL_KEY];
	char value[LABEL_VALUE];
};

struct head {
	u64 time_ns;
	/* Of this CPU, from 1 on, counted also for what did not fit into the buffer. */
	u64 number;
	u32 kind;
	u32 cpu;
	u32 tid;
	u32 detail;
};

/* SAMPLE and SWITCH_OUT. For a switch, detail is the state the thread left in: 0 runnable, else what it waits in. */
struct stacked {
	struct head head;
	struct go go;
	/* User registers: those that a stack walk starts from. */
	u64 ip, sp, bp, bx, r12, r13, r14, r15;
	u32 user_frames;
	u32 kernel_frames;
	/* Bytes of the stack at sp, then of the one at go.syscall_sp. */
	u32 top_bytes;
	u32 c_caller_bytes;
	/* Kernel frames, user frames, top bytes, C caller bytes, labels, each as long or as many as told above. */
	u64 data[DATA_WORDS];
};

/* SWITCH_IN of a thread whose SWITCH_OUT was sent, or that left before anybody looked (out_ns is 0 then); head.detail is 1 when it was put off the CPU while it could run. */
struct switched_in {
	struct head head;
	u64 out_ns;
	/* When it could run again; 0 if that was not seen. */
	u64 ready_ns;
};

/* The runtime's functions that tell of a transition; src/probes/sites.rs finds them. */
enum site {
	SITE_RUNQPUT = 1,
	SITE_NETPOLLREADY = 2,
	SITE_GOSCHED = 3,
	SITE_EXECUTE = 4,
	SITE_GOPARK = 5,
	SITE_NEWPROC = 6,
	SITE_GODEAD = 7,
	SITE_ENTERSYSCALL = 8,
	SITE_EXITSYSCALL = 9,
	SITE_STW_BEGIN = 10,
	SITE_STW_END = 11,
	SITE_GC_START = 12,
	SITE_GC_END = 13,
	SITE_ASSIST = 14,
	SITE_PREEMPTONE = 15,
	SITE_GCSTOPM = 16,
	SITE_GCWAIT = 17,
	SITES = 32,
};

/* KIND_SITE: one transition. head.detail is the site. */
struct transition {
	struct head head;
	/* Whom it is about, and where it was created. */
	u64 goid;
	u64 go_pc;
	/* The goroutine whose thread it happened on; 0 when the scheduler did it by itself. */
	u64 by_goid;
	u64 by_go_pc;
	u64 m;
	s32 p;
	/* The runtime's number of a wait reason or of a reason to stop the world; for netpollready the mode. */
	u32 reason;
	u32 frames;
	u32 unused;
	u64 pcs[SITE_FRAMES];
};
