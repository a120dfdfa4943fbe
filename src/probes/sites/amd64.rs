//! On amd64 the kernel emulates only some instructions; all others it steps, ten times as dear. So a site is the first `push rbp`
//! (Go 1.21 on), else the first conditional jump: there the return address lies at sp.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};

/// The address of the instruction to catch. Before it only the stack check and moves to scratch registers may stand.
pub fn site_in(code: &[u8], start: u64, push: bool) -> Option<u64> {
    let mut first_jump = None;
    for instruction in Decoder::with_ip(64, code, start, DecoderOptions::NONE).into_iter().take(6) {
        if instruction.is_invalid() {
            return None;
        }
        if is_push_rbp(&instruction) {
            return push.then(|| instruction.ip());
        }
        match instruction.flow_control() {
            FlowControl::ConditionalBranch => {
                first_jump.get_or_insert(instruction.ip());
                if !push {
                    return first_jump;
                }
            }
            FlowControl::Next if leaves_arguments(&instruction) => {}
            // A function without a frame (netpollready up to Go 1.21): its first branch.
            _ => return first_jump,
        }
    }
    first_jump
}

/// The address of the first call of a function. The kernel emulates calls too.
pub fn call_in(code: &[u8], start: u64, callee: Option<u64>) -> Option<u64> {
    let calls = |instruction: &Instruction| instruction.is_call_near() && Some(instruction.near_branch_target()) == callee;
    Decoder::with_ip(64, code, start, DecoderOptions::NONE).into_iter().find(calls).map(|instruction| instruction.ip())
}

fn is_push_rbp(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Push && instruction.op0_register() == Register::RBP
}

/// `cmp`, `test`, and `lea r12` of the check for big frames.
fn leaves_arguments(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Nop | Mnemonic::Endbr64 => true,
        Mnemonic::Lea => instruction.op0_register() == Register::R12,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// cmp rsp,[r14+16]; jbe +5
    const CHECK: [u8; 6] = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x05];
    const PUSH: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];

    #[test]
    fn a_call_is_found_by_whom_it_calls() {
        // nop; call 0x1010; call 0x2000
        let code = [0x90, 0xe8, 0x0a, 0, 0, 0, 0xe8, 0xf5, 0x0f, 0, 0];
        assert_eq!(call_in(&code, 0x1000, Some(0x1010)), Some(0x1001));
        assert_eq!(call_in(&code, 0x1000, Some(0x2000)), Some(0x1006));
        assert_eq!(call_in(&code, 0x1000, Some(0x3000)), None);
        assert_eq!(call_in(&code, 0x1000, None), None);
    }

    #[test]
    fn a_frame_pointer_that_is_pushed_is_the_site() {
        let code = [&CHECK[..], &PUSH].concat();
        assert_eq!(site_in(&code, 0x1000, true), Some(0x1006));
        assert_eq!(site_in(&PUSH, 0x1000, true), Some(0x1000));
    }

    #[test]
    fn before_go_1_21_it_is_the_jump_of_the_stack_check() {
        // sub rsp,0x28
        let code = [&CHECK[..], &[0x48, 0x83, 0xec, 0x28]].concat();
        assert_eq!(site_in(&code, 0x1000, false), Some(0x1004));
    }

    #[test]
    fn without_a_frame_it_is_the_first_branch() {
        // cmp ecx,0x72; je +8; cmp ecx,0xe9; jne +1; test [rbx],al
        let code = [0x83, 0xf9, 0x72, 0x74, 0x08, 0x81, 0xf9, 0xe9, 0, 0, 0, 0x75, 0x01, 0x84, 0x03];
        assert_eq!(site_in(&code, 0x1000, true), Some(0x1003));
    }

    #[test]
    fn an_unknown_beginning_is_no_site() {
        // mov eax,ebx: an argument is gone.
        assert_eq!(site_in(&[0x89, 0xd8, 0x55], 0x1000, true), None);
        assert_eq!(site_in(&[0xff; 8], 0x1000, true), None);
        assert_eq!(site_in(&[], 0x1000, false), None);
    }
}
