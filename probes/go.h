/* The Go runtime seen from the kernel. Offsets are set at load (src/probes/load.rs) from the target's row of the layout table. */
#pragma once
#include "wire.h"

const volatile u32 g_m, g_goid, g_status, g_go_pc, g_labels, g_syscall_pc, g_syscall_sp;
const volatile u32 m_curg, m_p, m_incgo, p_id;
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
