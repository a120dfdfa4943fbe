//! Where the runtime's transitions are caught: one instruction each, found by name and validated by decoding.
//!
//! The kernel takes any offset, also one in the middle of an instruction, and emulates only some instructions; all others it steps,
//! ten times as dear. So a site is the first `push rbp` (Go 1.21 on), else the first conditional jump: there the arguments are as the
//! caller set them, the return address lies at sp, and a function that grows its stack passes once more at most. The world goes on at the
//! end of a function: there the site is a call, which the kernel emulates too.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};

use crate::target::layout::GoVersion;
use crate::target::pclntab::Func;
use crate::target::runtime::GoProcess;

/// A transition; the numbers are those of `enum site` in `probes/wire.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// A goroutine was put into a P's queue.
    Runqput = 1,
    /// The network made a goroutine ready.
    Netpollready = 2,
    /// A goroutine gave up its P, or was made to.
    Gosched = 3,
    /// A goroutine was put on a P.
    Execute = 4,
    /// A goroutine is about to wait.
    Gopark = 5,
    Newproc = 6,
    Godead = 7,
    Entersyscall = 8,
    Exitsyscall = 9,
    StwBegin = 10,
    StwEnd = 11,
    GcStart = 12,
    GcEnd = 13,
    Assist = 14,
    /// Whoever runs on a P is asked to give it up.
    Preemptone = 15,
    /// A P that ran stops for whoever stops the world.
    Gcstopm = 16,
    /// The same, for its goroutine makes a system call.
    Gcwait = 17,
}

impl Site {
    pub const ALL: [Site; 17] = [
        Site::Runqput,
        Site::Netpollready,
        Site::Gosched,
        Site::Execute,
        Site::Gopark,
        Site::Newproc,
        Site::Godead,
        Site::Entersyscall,
        Site::Exitsyscall,
        Site::StwBegin,
        Site::StwEnd,
        Site::GcStart,
        Site::GcEnd,
        Site::Assist,
        Site::Preemptone,
        Site::Gcstopm,
        Site::Gcwait,
    ];
    /// What tells how long goroutines wait, for what and for whom.
    pub const TRANSITIONS: [Site; 5] = [Site::Runqput, Site::Netpollready, Site::Gosched, Site::Execute, Site::Gopark];
    /// Rare: some ten a second, and one or two more for each P that runs when the world is stopped. `preemptone` is also called by sysmon,
    /// every 10 ms for a goroutine that runs so long (runtime/proc.go: retake).
    pub const RARE: [Site; 7] = [Site::StwBegin, Site::StwEnd, Site::GcStart, Site::GcEnd, Site::Preemptone, Site::Gcstopm, Site::Gcwait];

    pub fn from_number(number: u32) -> Option<Site> {
        Site::ALL.into_iter().find(|site| *site as u32 == number)
    }

    /// In `runtime/proc.go`, `netpoll.go`, `mgc.go` and `mgcmark.go`. Before Go 1.22 a goroutine ends in `goexit0` itself.
    pub fn function(self, version: GoVersion) -> &'static str {
        match self {
            Site::Runqput => "runtime.runqput",
            Site::Netpollready => "runtime.netpollready",
            Site::Gosched => "runtime.goschedImpl",
            Site::Execute => "runtime.execute",
            Site::Gopark => "runtime.gopark",
            Site::Newproc => "runtime.newproc1",
            Site::Godead if version < GoVersion::new(22, 0) => "runtime.goexit0",
            Site::Godead => "runtime.gdestroy",
            Site::Entersyscall => "runtime.reentersyscall",
            Site::Exitsyscall => "runtime.exitsyscall",
            Site::StwBegin => "runtime.stopTheWorldWithSema",
            Site::StwEnd => "runtime.startTheWorldWithSema",
            Site::GcStart => "runtime.gcStart",
            Site::GcEnd => "runtime.gcMarkTermination",
            Site::Assist => "runtime.gcAssistAlloc1",
            Site::Preemptone => "runtime.preemptone",
            Site::Gcstopm => "runtime.gcstopm",
            Site::Gcwait if version < GoVersion::new(26, 0) => "runtime.entersyscall_gcwait",
            Site::Gcwait => "runtime.entersyscallHandleGCWait",
        }
    }
}

/// A site in one executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub site: Site,
    pub function: &'static str,
    /// Of the running process.
    pub address: u64,
    /// Where the kernel shall put its breakpoint.
    pub file_offset: u64,
    /// The kernel emulates the instruction; else it steps it.
    pub emulated: bool,
}

/// A site that is not in this binary, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub site: Site,
    pub function: &'static str,
    pub reason: String,
}

/// In the order of `sites`.
pub fn find(process: &GoProcess, sites: &[Site]) -> Vec<Result<Found, Missing>> {
    let names: Vec<&'static str> = sites.iter().map(|site| site.function(process.version)).collect();
    let functions = process.module.pclntab.find_names(&names);
    let wakep = process.module.pclntab.find_names(&["runtime.wakep"]).into_iter().flatten().next();
    let wakep = wakep.map(|func| process.module.text + u64::from(func.start));
    let one = |((&site, function), func): ((&Site, &'static str), Option<Func>)| {
        let missing = |reason: &str| Missing { site, function, reason: reason.to_owned() };
        let func = func.ok_or_else(|| missing("the binary has no such function"))?;
        let start = process.module.text + u64::from(func.start);
        let looked_at = if site == Site::StwEnd { 4096 } else { 64 };
        let len = u64::from(func.end.saturating_sub(func.start)).min(looked_at);
        let code = process.elf.read_address_vec(start, len).map_err(|_| missing("its code cannot be read"))?;
        let push = process.version >= GoVersion::new(21, 0);
        let at = match site {
            // When the Ps run again, and the runtime takes the time: `now` in runtime/proc.go: startTheWorldWithSema.
            Site::StwEnd => call_in(&code, start, wakep).ok_or_else(|| missing("it calls no runtime.wakep"))?,
            _ => site_in(&code, start, push).ok_or_else(|| missing("it begins in a way that is not known"))?,
        };
        let segment = process.elf.segment_at(at).ok_or_else(|| missing("its code is in no segment"))?;
        let file_offset = at - segment.vaddr + segment.offset;
        Ok(Found { site, function, address: at.wrapping_add(process.bias), file_offset, emulated: true })
    };
    sites.iter().zip(names.iter().copied()).zip(functions).map(one).collect()
}

/// The address of the instruction to catch. Before it only the stack check and moves to scratch registers may stand.
fn site_in(code: &[u8], start: u64, push: bool) -> Option<u64> {
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

/// The address of the first call of a function.
fn call_in(code: &[u8], start: u64, callee: Option<u64>) -> Option<u64> {
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
    fn a_call_is_found_by_whom_it_calls() {
        // nop; call 0x1010; call 0x2000
        let code = [0x90, 0xe8, 0x0a, 0, 0, 0, 0xe8, 0xf5, 0x0f, 0, 0];
        assert_eq!(call_in(&code, 0x1000, Some(0x1010)), Some(0x1001));
        assert_eq!(call_in(&code, 0x1000, Some(0x2000)), Some(0x1006));
        assert_eq!(call_in(&code, 0x1000, Some(0x3000)), None);
        assert_eq!(call_in(&code, 0x1000, None), None);
    }

    #[test]
    fn an_unknown_beginning_is_no_site() {
        // mov eax,ebx: an argument is gone.
        assert_eq!(site_in(&[0x89, 0xd8, 0x55], 0x1000, true), None);
        assert_eq!(site_in(&[0xff; 8], 0x1000, true), None);
        assert_eq!(site_in(&[], 0x1000, false), None);
    }
}
