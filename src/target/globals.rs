//! Addresses of runtime globals in binaries without symbols: decoded from functions that use them.
//!
//! Each global has several witnesses: a small runtime function, which of its RIP-relative operands is meant, and the field that the
//! operand stands for. An address counts only when at least two witnesses agree on it. The operand numbers hold for Go 1.18 to 1.27,
//! static, PIE and cgo, with and without inlining (`tests/globals.rs` compares the result with the symbol tables of unstripped builds).

use iced_x86::{Decoder, DecoderOptions};

use super::elf::Machine;
use super::layout::{Field, Layout};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Global {
    /// `runtime.sched`, a `schedt`.
    Sched,
    /// `runtime.memstats`, an `mstats`.
    Memstats,
    /// `runtime.gcController`, a `gcControllerState`.
    GcController,
    /// `runtime.gomaxprocs`, an `int32`.
    Gomaxprocs,
    /// `runtime.gcphase`, a `uint32`: 0 off, 1 mark, 2 mark termination.
    Gcphase,
    /// `runtime.allp`, a slice of `*p`.
    Allp,
    /// `runtime.work`, a `workType`: the state of the collection.
    Work,
}

/// One function's testimony.
struct Witness {
    function: &'static str,
    /// Which of the function's RIP-relative operands, counted from 0.
    operand: usize,
    /// The field that the operand addresses; `None` for the global's first byte.
    field: Option<Field>,
}

const fn witness(function: &'static str, operand: usize, field: Option<Field>) -> Witness {
    Witness { function, operand, field }
}

impl Global {
    pub const ALL: [Global; 7] =
        [Global::Sched, Global::Memstats, Global::GcController, Global::Gomaxprocs, Global::Gcphase, Global::Allp, Global::Work];

    /// As the runtime names it.
    pub fn name(self) -> &'static str {
        match self {
            Global::Sched => "runtime.sched",
            Global::Memstats => "runtime.memstats",
            Global::GcController => "runtime.gcController",
            Global::Gomaxprocs => "runtime.gomaxprocs",
            Global::Gcphase => "runtime.gcphase",
            Global::Allp => "runtime.allp",
            Global::Work => "runtime.work",
        }
    }

    fn witnesses(self) -> &'static [Witness] {
        use Field::*;
        match self {
            // runtime/proc.go: `lock(&sched.lock)`; `if sched.mnext+1 < sched.mnext`; `sched.nmspinning.Add(-1)`.
            Global::Sched => {
                const {
                    &[
                        witness("runtime.incidlelocked", 0, Some(SchedLock)),
                        witness("runtime.mReserveID", 0, Some(SchedMnext)),
                        witness("runtime.resetspinning", 0, Some(SchedNmspinning)),
                    ]
                }
            }
            // runtime/mprof.go, mheap.go, mgc.go: `persistentalloc(…, &memstats.buckhash_sys)`, `sysAlloc(…, &memstats.other_sys)`,
            // `memstats.enablegc = true`.
            Global::Memstats => {
                const {
                    &[
                        witness("runtime.newBucket", 0, Some(MemBuckhashSys)),
                        witness("runtime.recordspan", 0, Some(MemOtherSys)),
                        witness("runtime.gcenable", 7, Some(MemEnablegc)),
                    ]
                }
            }
            // runtime/mgcpacer.go, stack.go, mgcwork.go: `gcController.markStartTime`, `gcController.addScannableStack(…)`,
            // `gcController.heapScanWork.Add(…)`, `gcController.heapLive` (`update` has no other receiver).
            Global::GcController => {
                const {
                    &[
                        witness("runtime.pollFractionalWorkerExit", 0, Some(GcMarkStartTime)),
                        witness("runtime.copystack", 0, Some(GcMaxStackScan)),
                        witness("runtime.(*gcWork).dispose", 1, Some(GcHeapScanWork)),
                        witness("runtime.(*gcWork).dispose", 3, Some(GcHeapScanWork)),
                        witness("runtime.(*gcWork).dispose", 4, Some(GcHeapScanWork)),
                        witness("runtime.(*gcControllerState).update", 0, Some(GcHeapLive)),
                        witness("runtime.(*gcControllerState).update", 1, Some(GcHeapLive)),
                    ]
                }
            }
            // runtime/proc.go, mgc.go: `old := gomaxprocs`, `sched.npidle == uint32(gomaxprocs)`, `gcBgMarkWorkerCount < gomaxprocs`.
            Global::Gomaxprocs => {
                const {
                    &[
                        witness("runtime.procresize", 0, None),
                        witness("runtime.sysmon", 7, None),
                        witness("runtime.gcBgMarkStartWorkers", 1, None),
                        witness("runtime.gcBgMarkStartWorkers", 5, None),
                    ]
                }
            }
            // runtime/mfinal.go, mgc.go, mgcwork.go: `if gcphase != _GCoff`.
            Global::Gcphase => {
                const {
                    &[
                        witness("runtime.queuefinalizer", 0, None),
                        witness("runtime.gcSweep", 0, None),
                        witness("runtime.gcMarkTermination", 0, None),
                        witness("runtime.(*gcWork).balance", 0, None),
                    ]
                }
            }
            // runtime/mgcmark.go, proc.go: `for _, p := range allp`.
            Global::Allp => const { &[witness("runtime.gcMarkTinyAllocs", 0, None), witness("runtime.preemptall", 0, None)] },
            // runtime/mgcwork.go: `work.full.push(…)`, `work.full.pop()`; `full` is its first field.
            Global::Work => const { &[witness("runtime.putfull", 0, None), witness("runtime.trygetfull", 0, None)] },
        }
    }
}

/// A function's machine code, at the address its operands shall be computed for (link time or run time; the result is of the same kind).
#[derive(Debug, Clone, Default)]
pub struct Code {
    pub address: u64,
    pub bytes: Vec<u8>,
}

/// Every function that [`locate`] may ask for, so that a caller can find them all in one walk over the function table.
pub fn functions() -> Vec<&'static str> {
    let mut names: Vec<_> = Global::ALL.iter().flat_map(|g| g.witnesses()).map(|w| w.function).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The address of a global, or why it is not known, as the end of a sentence (`runtime.sched: …`).
pub fn locate(global: Global, machine: Machine, layout: &Layout, code_of: &dyn Fn(&str) -> Option<Code>) -> Result<u64, String> {
    if machine != Machine::Amd64 {
        return Err(format!("addresses of runtime variables are decoded on amd64 only, not on {}", machine.as_str()));
    }
    let mut votes: Vec<(u64, &str)> = Vec::new();
    let mut heard = 0;
    for witness in global.witnesses() {
        let Some(code) = code_of(witness.function) else { continue };
        heard += 1;
        let offset = match witness.field {
            None => Some(0),
            Some(field) => layout.get(field),
        };
        let operand = rip_relative_operands(&code).nth(witness.operand);
        let address = operand.zip(offset).and_then(|(operand, offset)| operand.checked_sub(offset));
        // All are at least 4-byte aligned; an odd address comes from a string or a code label.
        votes.extend(address.filter(|a| a % 4 == 0).map(|a| (a, witness.function)));
    }
    votes.sort_unstable();
    votes.dedup();
    let mut agreed = votes.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() >= 2).map(|same| same[0].0);
    match (agreed.next(), agreed.next()) {
        (Some(address), None) => Ok(address),
        _ if heard == 0 => Err("none of the functions that use it is in the binary".to_owned()),
        _ => Err("the functions that use it do not agree on its address".to_owned()),
    }
}

fn rip_relative_operands(code: &Code) -> impl Iterator<Item = u64> {
    Decoder::with_ip(64, &code.bytes, code.address, DecoderOptions::NONE)
        .into_iter()
        .filter(|instruction| instruction.is_ip_rel_memory_operand())
        .map(|instruction| instruction.ip_rel_memory_address())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::layout::{GoVersion, from_table};

    fn layout() -> Layout {
        from_table(GoVersion::new(26, 0)).unwrap()
    }

    /// `mov rax, [rip+d]` that reaches `target` from a function at `address`.
    fn load(address: u64, target: u64) -> Code {
        let displacement = target.wrapping_sub(address + 7) as u32;
        let mut bytes = vec![0x48, 0x8b, 0x05];
        bytes.extend(displacement.to_le_bytes());
        Code { address, bytes }
    }

    #[test]
    fn two_witnesses_that_agree_are_believed() {
        let code = |name: &str| match name {
            "runtime.procresize" => Some(load(0x40_1000, 0x50_0010)),
            "runtime.gcBgMarkStartWorkers" => None,
            "runtime.sysmon" => {
                let mut code = load(0x40_2000, 0x50_0010);
                // Seven operands before the one that counts.
                let nth = |n: u64| load(0x40_2000 + 7 * n, if n < 7 { 0x60_0000 } else { 0x50_0010 }).bytes;
                code.bytes = (0..8).flat_map(nth).collect();
                Some(code)
            }
            _ => None,
        };
        assert_eq!(locate(Global::Gomaxprocs, Machine::Amd64, &layout(), &code), Ok(0x50_0010));
    }

    #[test]
    fn one_witness_is_not_enough() {
        let one = |name: &str| (name == "runtime.procresize").then(|| load(0x40_1000, 0x50_0010));
        assert_eq!(
            locate(Global::Gomaxprocs, Machine::Amd64, &layout(), &one),
            Err("the functions that use it do not agree on its address".to_owned())
        );
    }

    #[test]
    fn witnesses_that_disagree_are_not_believed() {
        let code = |name: &str| match name {
            "runtime.gcMarkTinyAllocs" => Some(load(0x40_1000, 0x50_0010)),
            "runtime.preemptall" => Some(load(0x40_2000, 0x50_0018)),
            _ => None,
        };
        assert!(locate(Global::Allp, Machine::Amd64, &layout(), &code).is_err());
    }

    #[test]
    fn two_pairs_that_disagree_are_not_believed() {
        let code = |name: &str| match name {
            "runtime.queuefinalizer" | "runtime.gcSweep" => Some(load(0x40_1000, 0x50_0010)),
            _ => Some(load(0x40_2000, 0x50_0020)),
        };
        assert!(locate(Global::Gcphase, Machine::Amd64, &layout(), &code).is_err());
    }

    #[test]
    fn what_is_missing_is_said() {
        let none = |_: &str| None;
        assert_eq!(
            locate(Global::Sched, Machine::Amd64, &layout(), &none),
            Err("none of the functions that use it is in the binary".to_owned())
        );
        assert_eq!(
            locate(Global::Sched, Machine::Arm64, &layout(), &none),
            Err("addresses of runtime variables are decoded on amd64 only, not on arm64".to_owned())
        );
    }

    #[test]
    fn garbage_code_gives_no_address_and_no_panic() {
        for fill in 0..=255u8 {
            let code = |_: &str| Some(Code { address: u64::MAX - 8, bytes: vec![fill; 64] });
            for global in Global::ALL {
                let _ = locate(global, Machine::Amd64, &layout(), &code);
            }
        }
    }
}
