//! Where the runtime's transitions are caught: one instruction each, found by name and validated by decoding.
//!
//! The kernel takes any offset, also one in the middle of an instruction. At a site the registers are as the caller set them
//! (`probes/registers.h` says what stands in them), and a function that grows its stack passes once more at most.

mod amd64;
mod arm64;

use crate::target::elf::{Elf, Machine};
use crate::target::layout::GoVersion;
use crate::target::moduledata::Module;
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
    let of_process = |found: Found| Found { address: found.address.wrapping_add(process.bias), ..found };
    find_in(&process.elf, &process.module, process.version, sites).into_iter().map(|found| found.map(of_process)).collect()
}

/// As `find`, of an executable: addresses are those of the link.
pub fn find_in(elf: &Elf, module: &Module, version: GoVersion, sites: &[Site]) -> Vec<Result<Found, Missing>> {
    let names: Vec<&'static str> = sites.iter().map(|site| site.function(version)).collect();
    let functions = module.pclntab.find_names(&names);
    let wakep = module.pclntab.find_names(&["runtime.wakep"]).into_iter().flatten().next();
    let wakep = wakep.map(|func| module.text + u64::from(func.start));
    let one = |((&site, function), func): ((&Site, &'static str), Option<Func>)| {
        let missing = |reason: &str| Missing { site, function, reason: reason.to_owned() };
        let func = func.ok_or_else(|| missing("the binary has no such function"))?;
        let start = module.text + u64::from(func.start);
        let looked_at = if site == Site::StwEnd { 4096 } else { 64 };
        let len = u64::from(func.end.saturating_sub(func.start)).min(looked_at);
        let code = elf.read_address_vec(start, len).map_err(|_| missing("its code cannot be read"))?;
        let at = match elf.machine {
            // When the Ps run again, and the runtime takes the time: `now` in runtime/proc.go: startTheWorldWithSema.
            _ if site == Site::StwEnd && wakep.is_none() => return Err(missing("the binary has no runtime.wakep")),
            Machine::Amd64 if site == Site::StwEnd => amd64::call_in(&code, start, wakep),
            Machine::Arm64 if site == Site::StwEnd => arm64::call_in(&code, start, wakep),
            Machine::Amd64 => amd64::site_in(&code, start, version >= GoVersion::new(21, 0)),
            Machine::Arm64 => arm64::site_in(&code, start),
        };
        let address = at.ok_or_else(|| missing("it begins in a way that is not known"))?;
        let segment = elf.segment_at(address).ok_or_else(|| missing("its code is in no segment"))?;
        Ok(Found { site, function, address, file_offset: address - segment.vaddr + segment.offset })
    };
    sites.iter().zip(names.iter().copied()).zip(functions).map(one).collect()
}
