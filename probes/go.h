/* The Go runtime seen from the kernel. Offsets are set at load (src/probes/load.rs) from the target's row of the layout table. */
#pragma once
#include "wire.h"

const volatile u32 g_m, g_goid, g_status, g_go_pc, g_labels, g_syscall_pc, g_syscall_sp;
const volatile u32 g_sched_sp, g_sched_pc, g_sched_bp;
const volatile u32 m_curg, m_p, m_incgo, p_id, p_m;
/* runtime/pprof/label.go: a slice since Go 1.24, a map before. */
const volatile u32 labels_in_slice;
/* From the thread pointer to the word that holds g. */
const volatile s32 tls_g;

ALWAYS_INLINE u64 user_word(u64 address)
{
	u64 word = 0;
	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

ALWAYS_INLINE u32 user_u32(u64 address)
{
	u32 word = 0;
	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

/* The M of a thread of the target: g in thread-local storage is g0, gsignal or curg, and each knows its m. 0 for a thread of C. */
ALWAYS_INLINE u64 m_of(u64 thread_pointer)
{
	u64 g = thread_pointer ? user_word(thread_pointer + (s64)tls_g) : 0;
	return g ? user_word(g + g_m) : 0;
}

/* False when no goroutine is on this M: then the scheduler runs, or nothing. */
ALWAYS_INLINE int read_go(struct go *go, u64 m)
{
	*go = (struct go){};
	u64 g = m ? user_word(m + m_curg) : 0;
	go->m = m;
	go->p = -1;
	/* m.curg is a plain word that the thread itself writes; a goroutine that is not bound back is in the middle of a change. */
	if (!g || user_word(g + g_m) != m)
		return 0;
	go->g = g;
	go->goid = user_word(g + g_goid);
	go->go_pc = user_word(g + g_go_pc);
	go->labels = user_word(g + g_labels);
	go->syscall_pc = user_word(g + g_syscall_pc);
	go->syscall_sp = user_word(g + g_syscall_sp);
	go->status = user_u32(g + g_status);
	u8 in_c = 0;
	bpf_probe_read_user(&in_c, 1, (void *)(m + m_incgo));
	go->in_c = in_c;
	u64 p = user_word(m + m_p);
	go->p = p ? (s32)user_u32(p + p_id) : -1;
	return go->goid != 0;
}

/* Where a map of strings with one bucket keeps its entries (runtime/map.go: bmap), and what marks a slot as used. */
#define BUCKET_KEYS 8
#define BUCKET_VALUES (8 + 8 * 16)
#define MIN_TOPHASH 5

#define NOT_READ 0xffffffff

/* Copies what there is room for; returns the string's length. */
ALWAYS_INLINE u32 copy_string(char *to, u32 room, u64 header)
{
	u64 string[2] = {};
	u32 length;
	bpf_probe_read_user(string, sizeof(string), (void *)header);
	length = string[1] < room ? string[1] : room;
	if (length > room || bpf_probe_read_user(to, length, (void *)string[0]))
		return NOT_READ;
	return string[1];
}

/* The labels that a goroutine has now: a moment later the set may be freed. None of a map with more than one bucket. */
ALWAYS_INLINE u32 copy_labels(struct label *to, u64 labels)
{
	u64 entries, used = 0, value_at = BUCKET_VALUES - BUCKET_KEYS, step = 16;
	u8 tophash[8] = {};
	u32 n = 0;
	if (labels_in_slice) {
		entries = user_word(labels);
		used = user_word(labels + 8);
		value_at = 16;
		step = 32;
	} else {
		u64 map = user_word(labels);
		u8 log_buckets = 1;
		if (map)
			bpf_probe_read_user(&log_buckets, 1, (void *)(map + 9));
		if (log_buckets)
			return 0;
		entries = user_word(map + 16);
		bpf_probe_read_user(tophash, sizeof(tophash), (void *)entries);
		entries += BUCKET_KEYS;
	}
	for (u32 i = 0; i < MAX_LABELS; i++) {
		u64 entry = entries + i * step;
		if (labels_in_slice ? i >= used : tophash[i] < MIN_TOPHASH)
			continue;
		if (n >= MAX_LABELS)
			break;
		to[n].key_bytes = copy_string(to[n].key, LABEL_KEY, entry);
		to[n].value_bytes = copy_string(to[n].value, LABEL_VALUE, entry + value_at);
		/* One that cannot be read is left out, and takes no room. */
		if (to[n].key_bytes != NOT_READ && to[n].value_bytes != NOT_READ)
			n++;
	}
	return n;
}
