//! How far the stack pointer is below the frame's base at one instruction, by following the function's code from its entry.
//!
//! For what `.eh_frame` can't say: code without it (Go's internal linker drops it from C objects), and frames whose base is
//! in rbp (`-fno-omit-frame-pointer`), which a blocked thread does not show. Only plain effects on rsp are followed; anything
//! else (a variable array, an aligned stack, two paths that disagree) has no answer. Pure.

use std::collections::HashMap;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

/// A frame at one instruction. Offsets are bytes below the CFA (the sp before the call).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    pub sp: u64,
    /// Where the caller's rbp is.
    pub caller_bp: CallerBp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerBp {
    InRegister,
    /// Saved this far below the CFA.
    Saved(u64),
    Unknown,
}

/// A place in a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The next instruction to run.
    Instruction(u64),
    /// The call that returns to this address.
    CallReturningTo(u64),
}

/// Code larger than any function that is worth following.
const MAX_CODE: usize = 1 << 20;
/// Deeper frames are a misread.
const MAX_DEPTH: i64 = 64 << 20;

/// What is known before one instruction. `sp` and `frame` are depths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    sp: i64,
    /// Of the address that rbp holds, while it is a frame pointer.
    frame: Option<i64>,
    caller_bp: CallerBp,
}

impl State {
    /// At the first instruction: only the return address is on the stack.
    const ENTRY: State = State { sp: 8, frame: None, caller_bp: CallerBp::InRegister };

    /// What holds on both paths; `None` when the stack pointers differ.
    fn meet(self, other: State) -> Option<State> {
        (self.sp == other.sp).then(|| State {
            sp: self.sp,
            frame: self.frame.filter(|_| self.frame == other.frame),
            caller_bp: if self.caller_bp == other.caller_bp { self.caller_bp } else { CallerBp::Unknown },
        })
    }
}

/// `code` is the whole function, from its entry at address `entry`. `None` when there is no single, sure answer.
pub fn depth(code: &[u8], entry: u64, at: At) -> Option<Depth> {
    if code.len() > MAX_CODE {
        return None;
    }
    let mut decoder = Decoder::with_ip(64, code, entry, DecoderOptions::NONE);
    let mut factory = InstructionInfoFactory::new();
    let mut states = HashMap::from([(entry, State::ENTRY)]);
    let mut work = vec![entry];
    let mut found: Option<State> = None;
    while let Some(address) = work.pop() {
        let state = *states.get(&address)?;
        decoder.set_position(usize::try_from(address - entry).ok()?).ok()?;
        decoder.set_ip(address);
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        let here = match at {
            At::Instruction(pc) => address == pc,
            At::CallReturningTo(pc) => instruction.next_ip() == pc && is_call(&instruction),
        };
        if here {
            found = Some(state);
        }
        let Some(after) = step(state, &instruction, &mut factory) else {
            // Only a problem for what can be reached from here.
            if here { continue } else { return None }
        };
        for next in successors(&instruction) {
            if next < entry || next - entry >= code.len() as u64 {
                continue; // A tail call, or what the compiler knows never comes back.
            }
            let merged = match states.get(&next) {
                Some(&known) => known.meet(after)?,
                None => after,
            };
            if states.insert(next, merged) != Some(merged) {
                work.push(next);
            }
        }
    }
    let found = found?;
    Some(Depth { sp: u64::try_from(found.sp).ok()?, caller_bp: found.caller_bp })
}

fn is_call(instruction: &Instruction) -> bool {
    matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
}

fn successors(instruction: &Instruction) -> impl Iterator<Item = u64> {
    let (target, falls_through) = match instruction.flow_control() {
        FlowControl::UnconditionalBranch => (Some(instruction.near_branch_target()), false),
        FlowControl::ConditionalBranch => (Some(instruction.near_branch_target()), true),
        // The targets of a jump table are unknown: what only it reaches has no answer.
        FlowControl::Return | FlowControl::IndirectBranch | FlowControl::Exception => (None, false),
        _ => (None, true),
    };
    target.into_iter().chain(falls_through.then(|| instruction.next_ip()))
}

/// The state after one instruction; `None` when its effect on rsp can't be told.
fn step(mut state: State, instruction: &Instruction, factory: &mut InstructionInfoFactory) -> Option<State> {
    match instruction.mnemonic() {
        Mnemonic::Push => {
            state.sp -= i64::from(instruction.stack_pointer_increment());
            if instruction.op0_kind() == OpKind::Register
                && instruction.op0_register() == Register::RBP
                && state.caller_bp == CallerBp::InRegister
            {
                state.caller_bp = CallerBp::Saved(u64::try_from(state.sp).ok()?);
            }
        }
        Mnemonic::Pop if instruction.op0_kind() != OpKind::Register || instruction.op0_register() != Register::RSP => {
            let restores = instruction.op0_kind() == OpKind::Register && instruction.op0_register() == Register::RBP;
            if restores {
                let saved_here = state.caller_bp == u64::try_from(state.sp).map_or(CallerBp::Unknown, CallerBp::Saved);
                state.caller_bp = if saved_here { CallerBp::InRegister } else { CallerBp::Unknown };
                state.frame = None;
            }
            state.sp -= i64::from(instruction.stack_pointer_increment());
        }
        Mnemonic::Leave => {
            let frame = state.frame?;
            let saved_there = state.caller_bp == u64::try_from(frame).map_or(CallerBp::Unknown, CallerBp::Saved);
            state = State {
                sp: frame.checked_sub(8)?,
                frame: None,
                caller_bp: if saved_there { CallerBp::InRegister } else { CallerBp::Unknown },
            };
        }
        Mnemonic::Sub if writes_rsp(instruction) => state.sp += immediate(instruction)?,
        Mnemonic::Add if writes_rsp(instruction) => state.sp -= immediate(instruction)?,
        Mnemonic::Lea | Mnemonic::Mov if writes_rsp(instruction) => state.sp = operand_depth(&state, instruction)?,
        Mnemonic::Lea | Mnemonic::Mov if instruction.op0_register() == Register::RBP && instruction.op0_kind() == OpKind::Register => {
            state.frame = operand_depth(&state, instruction);
            state.lose_caller_bp();
        }
        // A call gives the stack back as it was; one to the next instruction only asks for the pc, and keeps it.
        _ if is_call(instruction) => {
            if instruction.is_call_near() && instruction.near_branch_target() == instruction.next_ip() {
                state.sp += 8;
            }
        }
        _ if matches!(instruction.flow_control(), FlowControl::Return) => {}
        Mnemonic::Enter => return None,
        _ => {
            state.sp -= i64::from(instruction.stack_pointer_increment());
            for used in factory.info(instruction).used_registers() {
                if matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess | OpAccess::None) {
                    continue;
                }
                match used.register().full_register() {
                    Register::RSP if !instruction.is_stack_instruction() => return None,
                    Register::RBP => {
                        state.frame = None;
                        state.lose_caller_bp();
                    }
                    _ => {}
                }
            }
        }
    }
    (0..=MAX_DEPTH).contains(&state.sp).then_some(state)
}

impl State {
    /// rbp was overwritten: the caller's value lives on only if it was saved before.
    fn lose_caller_bp(&mut self) {
        if self.caller_bp == CallerBp::InRegister {
            self.caller_bp = CallerBp::Unknown;
        }
    }
}

fn writes_rsp(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register && instruction.op0_register() == Register::RSP
}

fn immediate(instruction: &Instruction) -> Option<i64> {
    match instruction.code() {
        Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 | Code::Add_rm64_imm8 | Code::Add_rm64_imm32 => Some(instruction.immediate(1) as i64),
        _ => None,
    }
}

/// The depth of the address that `mov` or `lea` computes from rsp or rbp.
fn operand_depth(state: &State, instruction: &Instruction) -> Option<i64> {
    let (base, displacement) = match (instruction.mnemonic(), instruction.op1_kind()) {
        (Mnemonic::Mov, OpKind::Register) => (instruction.op1_register(), 0),
        (Mnemonic::Lea, OpKind::Memory) if instruction.memory_index() == Register::None => {
            (instruction.memory_base(), instruction.memory_displacement64() as i64)
        }
        _ => return None,
    };
    let depth = match base {
        Register::RSP => state.sp,
        Register::RBP => state.frame?,
        _ => return None,
    };
    depth.checked_sub(displacement)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: u64 = 0x1000;

    fn at(code: &[u8], offset: u64) -> Option<Depth> {
        depth(code, ENTRY, At::Instruction(ENTRY + offset))
    }

    #[test]
    fn frame_pointer_prologue_and_epilogue() {
        // push rbp; mov rbp,rsp; push rbx; sub rsp,0x18; call $+5+0x100; mov rbx,[rbp-8]; leave; ret
        let code = [0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x18, 0xe8, 0, 1, 0, 0, 0x48, 0x8b, 0x5d, 0xf8, 0xc9, 0xc3];
        let in_register = |sp| Some(Depth { sp, caller_bp: CallerBp::InRegister });
        let saved = |sp| Some(Depth { sp, caller_bp: CallerBp::Saved(16) });
        assert_eq!(at(&code, 0), in_register(8));
        assert_eq!(at(&code, 1), saved(16));
        assert_eq!(at(&code, 4), saved(16));
        assert_eq!(at(&code, 9), saved(48));
        assert_eq!(at(&code, 18), saved(48));
        assert_eq!(at(&code, 19), in_register(8));
        assert_eq!(depth(&code, ENTRY, At::CallReturningTo(ENTRY + 14)), saved(48));
        // Not at an instruction; not behind a call.
        assert_eq!(at(&code, 2), None);
        assert_eq!(depth(&code, ENTRY, At::CallReturningTo(ENTRY + 9)), None);
    }

    #[test]
    fn a_call_that_ends_the_function_has_an_answer() {
        // sub rsp,8; call far away
        let code = [0x48, 0x83, 0xec, 0x08, 0xe8, 0, 1, 0, 0];
        assert_eq!(depth(&code, ENTRY, At::CallReturningTo(ENTRY + 9)), Some(Depth { sp: 16, caller_bp: CallerBp::InRegister }));
    }

    #[test]
    fn what_is_not_plain_has_no_answer() {
        // push rbp; mov rbp,rsp; sub rsp,rax; nop
        assert_eq!(at(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4, 0x90], 7), None);
        // push rbp; mov rbp,rsp; and rsp,-64; nop
        assert_eq!(at(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xc0, 0x90], 8), None);
        // je +1; push rax; nop: two depths at the nop
        assert_eq!(at(&[0x74, 0x01, 0x50, 0x90], 3), None);
        // jmp rax; nop
        assert_eq!(at(&[0xff, 0xe0, 0x90], 2), None);
        // sub rsp,16; sub rsp,16 ...: a loop that pushes
        assert_eq!(at(&[0x50, 0xeb, 0xfd, 0x90], 0), None);
        assert_eq!(at(&[], 0), None);
        assert_eq!(at(&[0x06], 0), None);
    }

    #[test]
    fn leave_after_a_variable_part_is_still_known_before_it() {
        // push rbp; mov rbp,rsp; call; and rsp,-64; leave; ret
        let code = [0x55, 0x48, 0x89, 0xe5, 0xe8, 0, 1, 0, 0, 0x48, 0x83, 0xe4, 0xc0, 0xc9, 0xc3];
        assert_eq!(depth(&code, ENTRY, At::CallReturningTo(ENTRY + 9)), None, "the whole function must be plain");
    }
}
