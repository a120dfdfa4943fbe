//! Where a thread of the target keeps its g: an offset from the thread pointer (amd64: FS).

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind, Register};

use crate::target::runtime::GoProcess;

/// What the Go linker writes in an executable of its own.
const USUAL: i32 = -8;

/// Decoded from the first access of `runtime.stackcheck` (`runtime/asm_amd64.s`: get_tls): either the offset stands in the instruction,
/// or a register that was loaded with it, from an immediate or from the global offset table.
///
/// `None` when the function is there and reads in a way that is not known.
pub fn g_offset(process: &GoProcess) -> Option<i32> {
    let Some(func) = process.module.pclntab.find_names(&["runtime.stackcheck"])[0] else { return Some(USUAL) };
    let start = process.module.text + u64::from(func.start);
    let bytes = process.elf.read_address_vec(start, u64::from(func.end.checked_sub(func.start)?).min(256)).ok()?;
    let mut loaded: Option<(Register, i32)> = None;
    for instruction in Decoder::with_ip(64, &bytes, start, DecoderOptions::NONE) {
        if instruction.segment_prefix() == Register::FS {
            return match instruction.memory_base() {
                Register::None => Some(instruction.memory_displacement64() as i32),
                base => {
                    loaded.filter(|(register, _)| *register == base).map(|(_, offset)| offset + instruction.memory_displacement64() as i32)
                }
            };
        }
        if instruction.mnemonic() != Mnemonic::Mov || instruction.op0_kind() != OpKind::Register {
            continue;
        }
        let to = instruction.op0_register().full_register();
        match instruction.op1_kind() {
            OpKind::Memory if instruction.is_ip_rel_memory_operand() => {
                let address = instruction.ip_rel_memory_address().wrapping_add(process.bias);
                loaded = process.memory().word(address).ok().map(|word| (to, word as i32));
            }
            OpKind::Immediate32to64 => loaded = Some((to, instruction.immediate32to64() as i32)),
            OpKind::Immediate32 => loaded = Some((to, instruction.immediate32() as i32)),
            _ => {}
        }
    }
    None
}
