//! On arm64 a site is the instruction behind the stack check, with which the frame begins: the return address is still in x30, and sp
//! the caller's. The kernel steps it. It simulates the check's branch for less, but a function that grows its stack passes that twice.
//!
//! The instructions are those that the Go assembler writes (`cmd/internal/obj/arm64/obj7.go`: `stacksplit`, `preprocess`); names are of
//! the Arm Architecture Reference Manual.

/// SUBS (extended register): `cmp sp, x16`
const CMP_SP_X16: u32 = 0xeb30_63ff;
/// SUBS (shifted register): `cmp x17, x16`
const CMP_X17_X16: u32 = 0xeb10_023f;

/// The address of the instruction to catch. Before it only x16, x17 and the flags may be written.
pub fn site_in(code: &[u8], start: u64) -> Option<u64> {
    let words: Vec<u32> = code.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let check = stack_check(&words);
    let at = match &words[check..] {
        [first, ..] if makes_frame(*first) => check,
        // A function without stack check and frame (netpollready up to Go 1.21): its first branch.
        [first, second, ..] if check == 0 && is_cmp_immediate(*first) && is_b_cond(*second) => 1,
        _ => return None,
    };
    Some(start + 4 * at as u64)
}

/// The address of the first call of a function, which the kernel simulates. BL: 26 bits of a distance in instructions.
pub fn call_in(code: &[u8], start: u64, callee: Option<u64>) -> Option<u64> {
    let words = code.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    let mut calls = words.enumerate().filter(|(_, word)| word >> 26 == 0b10_0101).map(|(i, word)| {
        let distance = i64::from((word << 6).cast_signed() >> 6) * 4;
        let at = start + 4 * i as u64;
        (at, at.wrapping_add_signed(distance))
    });
    calls.find(|(_, to)| Some(*to) == callee).map(|(at, _)| at)
}

/// How many instructions the stack check has; 0 where a function begins without one.
fn stack_check(words: &[u32]) -> usize {
    match words {
        [load, CMP_SP_X16, branch, ..] if is_ldr_guard(*load) && is_b_ls(*branch) => 3,
        // Go 1.18, and frames of more than 128 bytes.
        [load, sp, CMP_X17_X16, branch, ..] if is_ldr_guard(*load) && is_lowered_sp(*sp) && is_b_ls(*branch) => 4,
        _ => 0,
    }
}

/// LDR (immediate): `ldr x16, [x28, #16]`, or #24 on system stacks: `stackguard0` and `stackguard1` of g (`runtime/runtime2.go`).
fn is_ldr_guard(word: u32) -> bool {
    matches!(word, 0xf940_0b90 | 0xf940_0f90)
}

/// ADD (immediate) as `mov x17, sp`; SUB (immediate): `sub x17, sp, #n`
fn is_lowered_sp(word: u32) -> bool {
    word == 0x9100_03f1 || word & 0xff80_03ff == 0xd100_03f1
}

/// B.cond: `b.ls`
fn is_b_ls(word: u32) -> bool {
    word & 0xff00_001f == 0x5400_0009
}

/// STR (immediate), pre-indexed by a negative offset: `str x30, [sp, #-n]!`. For big frames SUB (immediate): `sub x20, sp, #n`, in
/// Go 1.18 `sub x27, sp, #n`: the return address is stored there before sp is moved.
fn makes_frame(word: u32) -> bool {
    word & 0xfff0_0fff == 0xf810_0ffe || matches!(word & 0xff80_03ff, 0xd100_03f4 | 0xd100_03fb)
}

/// SUBS (immediate): `cmp w0, #n`
fn is_cmp_immediate(word: u32) -> bool {
    word & 0xff80_001f == 0x7100_001f
}

/// B.cond
fn is_b_cond(word: u32) -> bool {
    word & 0xff00_0010 == 0x5400_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    const LDR_GUARD: u32 = 0xf940_0b90;
    const B_LS: u32 = 0x5400_0729;
    /// str x30, [sp, #-48]!
    const STR_LR: u32 = 0xf81d_0ffe;
    /// As Go 1.19 and later begin runqput.
    const SMALL: [u32; 4] = [LDR_GUARD, CMP_SP_X16, B_LS, STR_LR];
    /// gcMarkTermination of Go 1.27: sub x17, sp, #448; sub x20, sp, #576
    const BIG: [u32; 5] = [LDR_GUARD, 0xd107_03f1, CMP_X17_X16, B_LS, 0xd109_03f4];
    /// netpollready of Go 1.18: cmp w2, #114; b.eq
    const NO_FRAME: [u32; 2] = [0x7101_c85f, 0x5400_0060];

    fn site(words: &[u32]) -> Option<u64> {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        site_in(&code, 0x1000)
    }

    #[test]
    fn what_makes_the_frame_is_the_site() {
        assert_eq!(site(&SMALL), Some(0x100c));
        assert_eq!(site(&BIG), Some(0x1010));
        // mov x17, sp: Go 1.18 checks all frames so.
        assert_eq!(site(&[LDR_GUARD, 0x9100_03f1, CMP_X17_X16, B_LS, STR_LR]), Some(0x1010));
        // stopTheWorldWithSema from Go 1.24 on runs on system stacks only: ldr x16, [x28, #24]
        assert_eq!(site(&[0xf940_0f90, 0xd100_83f1, CMP_X17_X16, B_LS, STR_LR]), Some(0x1010));
        // Functions that may not grow the stack have no check.
        assert_eq!(site(&[STR_LR]), Some(0x1000));
    }

    #[test]
    fn a_call_is_found_by_whom_it_calls() {
        // nop; bl .-4; b .+8; bl .+8
        let code: Vec<u8> = [0xd503_201f_u32, 0x97ff_ffff, 0x1400_0002, 0x9400_0002].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(call_in(&code, 0x1000, Some(0x1000)), Some(0x1004));
        assert_eq!(call_in(&code, 0x1000, Some(0x1014)), Some(0x100c));
        assert_eq!(call_in(&code, 0x1000, Some(0x1010)), None);
        assert_eq!(call_in(&code, 0x1000, None), None);
    }

    #[test]
    fn without_a_frame_it_is_the_first_branch() {
        assert_eq!(site(&NO_FRAME), Some(0x1004));
    }

    #[test]
    fn with_any_instruction_replaced_there_is_no_site() {
        // nop; mov x0, x1; ldr x0, [x28, #16]; cmp x1, x16; b.hi; str x30, [x0, #-48]!; str x30, [sp, #48]!; sub x1, sp, #576
        let others = [0xd503_201f, 0xaa01_03e0, 0xf940_0b80, 0xeb10_003f, 0x5400_0728, 0xf81d_0c1e, 0xf803_0ffe, 0xd109_03e1];
        for begin in [&SMALL[..], &BIG] {
            for at in 0..begin.len() {
                for other in others {
                    let mut words = begin.to_vec();
                    words[at] = other;
                    assert_eq!(site(&words), None, "{other:#x} at {at} of {begin:x?}");
                }
            }
        }
        assert_eq!(site(&[NO_FRAME[0], others[0]]), None);
        assert_eq!(site(&[others[0], NO_FRAME[1]]), None);
    }

    #[test]
    fn with_one_bit_flipped_the_registers_before_the_site_are_still_the_callers() {
        // Only numbers may differ: how far sp is lowered, how far the branch goes, how big the frame is.
        for begin in [&SMALL[..], &BIG] {
            for bit in 0..32 * begin.len() {
                let mut words = begin.to_vec();
                words[bit / 32] ^= 1 << (bit % 32);
                if site(&words).is_some() {
                    let number =
                        if begin == SMALL { [0, 0, 0x00ff_ffe0, 0x000f_f000, 0] } else { [0, 0x007f_fc00, 0, 0x00ff_ffe0, 0x007f_fc00] };
                    let guard = bit / 32 == 0 && words[0] == 0xf940_0f90;
                    assert!(guard || number[bit / 32] & 1 << (bit % 32) != 0, "bit {} of {:#x}", bit % 32, begin[bit / 32]);
                }
            }
        }
    }

    #[test]
    fn code_that_ends_is_no_site() {
        for len in 0..SMALL.len() {
            assert_eq!(site(&SMALL[..len]), None);
        }
        assert_eq!(site_in(&[0xfe, 0x0f, 0x1d], 0), None);
    }
}
