//! Where the Go runtime keeps its fields: one row of offsets, from the table or from the target's own DWARF.

mod choose;
mod dwarf;
mod table;

/// Declares every runtime field goscope reads: its name here, and its path in the runtime's own types.
macro_rules! fields {
    ($($name:ident => $path:literal),* $(,)?) => {
        /// A field of a runtime type; `path` is how the runtime and DWARF name it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field { $($name),* }

        impl Field {
            pub const ALL: &'static [Field] = &[$(Field::$name),*];

            /// `type.member.member`, without the `runtime.` prefix; `sizeof:type` is a whole type's size; `a|b`: the first that exists.
            pub fn path(self) -> &'static str {
                match self { $(Field::$name => $path),* }
            }
        }
    };
}

fields! {
    GSize => "sizeof:g",
    GStackLo => "g.stack.lo",
    GStackHi => "g.stack.hi",
    GM => "g.m",
    GSchedSp => "g.sched.sp",
    GSchedPc => "g.sched.pc",
    GSchedLr => "g.sched.lr",
    GSchedBp => "g.sched.bp",
    GSyscallSp => "g.syscallsp",
    GSyscallPc => "g.syscallpc",
    GAtomicStatus => "g.atomicstatus",
    GGoid => "g.goid",
    GWaitSince => "g.waitsince",
    GWaitReason => "g.waitreason",
    GLockedM => "g.lockedm",
    GParentGoid => "g.parentGoid",
    GGoPc => "g.gopc",
    GStartPc => "g.startpc",
    GWaiting => "g.waiting",
    GLabels => "g.labels",
    GTimer => "g.timer",
    GSleepWhen => "g.sleepWhen",
    MG0 => "m.g0",
    MGsignal => "m.gsignal",
    MProcid => "m.procid",
    MCurg => "m.curg",
    MP => "m.p",
    MId => "m.id",
    MIncgo => "m.incgo",
    MSpinning => "m.spinning",
    MSyscalltick => "m.syscalltick",
    PId => "p.id",
    PStatus => "p.status",
    PSchedtick => "p.schedtick",
    PSyscalltick => "p.syscalltick",
    PM => "p.m",
    PGoidcache => "p.goidcache",
    PGoidcacheend => "p.goidcacheend",
    PRunqhead => "p.runqhead",
    PRunqtail => "p.runqtail",
    PRunnext => "p.runnext",
    TimerWhen => "timer.when",
    // Since Go 1.26 two words; the second is always the truth (`runtime/runtime2.go`: maybeTraceablePtr).
    SudogElem => "sudog.elem.vu|sudog.elem",
    SudogC => "sudog.c.vu|sudog.c",
    ModText => "moduledata.text",
    ModEtext => "moduledata.etext",
    ModMinpc => "moduledata.minpc",
    ModMaxpc => "moduledata.maxpc",
    ModFtab => "moduledata.ftab",
    ModGofunc => "moduledata.gofunc",
    ModNext => "moduledata.next",
    SchedGoidgen => "schedt.goidgen",
    SchedLock => "schedt.lock",
    SchedNmidle => "schedt.nmidle",
    SchedMnext => "schedt.mnext",
    SchedNmfreed => "schedt.nmfreed",
    SchedNgsys => "schedt.ngsys",
    SchedNpidle => "schedt.npidle",
    SchedNmspinning => "schedt.nmspinning",
    SchedRunqSize => "schedt.runq.size|schedt.runqsize",
    SchedTimeToRun => "schedt.timeToRun",
    // Histograms of how long the world took to stop, and was stopped, to collect and for other reasons.
    SchedStwStoppingTimeGC => "schedt.stwStoppingTimeGC",
    SchedStwStoppingTimeOther => "schedt.stwStoppingTimeOther",
    SchedStwTotalTimeGC => "schedt.stwTotalTimeGC",
    SchedStwTotalTimeOther => "schedt.stwTotalTimeOther",
    TimeHistogramSize => "sizeof:timeHistogram",
    MemBuckhashSys => "mstats.buckhash_sys",
    MemOtherSys => "mstats.other_sys",
    MemLastGcUnix => "mstats.last_gc_unix",
    MemPauseTotalNs => "mstats.pause_total_ns",
    MemPauseNs => "mstats.pause_ns",
    MemPauseEnd => "mstats.pause_end",
    MemNumgc => "mstats.numgc",
    MemNumForcedgc => "mstats.numforcedgc",
    MemGcCpuFraction => "mstats.gc_cpu_fraction",
    MemEnablegc => "mstats.enablegc",
    // Until Go 1.21 what `schedt.stwTotalTimeGC` is since.
    MemGcPauseDist => "mstats.gcPauseDist",
    // `workType` has cache lines of padding, so that these hold for amd64 only. Go 1.18 has no name for the type.
    WorkSweepTerm => "workType.tSweepTerm",
    WorkMark => "workType.tMark",
    WorkMarkTerm => "workType.tMarkTerm",
    WorkEnd => "workType.tEnd",
    GcPercent => "gcControllerState.gcPercent",
    GcMemoryLimit => "gcControllerState.memoryLimit",
    // Go 1.18 keeps the heap goal; later versions compute it (`heapGoalInternal`).
    GcHeapGoal => "gcControllerState.heapGoal",
    GcPercentHeapGoal => "gcControllerState.gcPercentHeapGoal",
    GcSweepDistMinTrigger => "gcControllerState.sweepDistMinTrigger",
    GcTriggered => "gcControllerState.triggered",
    GcHeapLive => "gcControllerState.heapLive",
    GcHeapMarked => "gcControllerState.heapMarked",
    GcHeapScanWork => "gcControllerState.heapScanWork",
    GcMaxStackScan => "gcControllerState.maxStackScan|gcControllerState.scannableStackSize",
    GcMarkStartTime => "gcControllerState.markStartTime",
    GcHeapFree => "gcControllerState.heapFree",
    GcTotalAlloc => "gcControllerState.totalAlloc",
    GcTotalFree => "gcControllerState.totalFree",
    GcMappedReady => "gcControllerState.mappedReady",
}

/// Offsets of one Go version, in bytes; a field that version does not have is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    offsets: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Layout {
    fn empty() -> Self {
        Layout { offsets: vec![ABSENT; Field::ALL.len()] }
    }

    fn set(&mut self, field: Field, offset: Option<u32>) {
        self.offsets[field as usize] = offset.unwrap_or(ABSENT);
    }

    /// `None` where this Go version has no such field.
    pub fn get(&self, field: Field) -> Option<u64> {
        match self.offsets[field as usize] {
            ABSENT => None,
            offset => Some(u64::from(offset)),
        }
    }
}

/// A Go release; development versions compare as the release they lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoVersion {
    pub minor: u16,
    pub patch: u16,
}

impl GoVersion {
    pub const fn new(minor: u16, patch: u16) -> Self {
        GoVersion { minor, patch }
    }

    /// Reads `go1.26.8`, `go1.27rc1`, `go1.26.8 X:nocoverageredesign`, `go1.26.8-custom`, `devel go1.28-abcdef …`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches("devel ").strip_prefix("go1.")?;
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let minor = text.get(..digits(text))?.parse().ok()?;
        let rest = &text[digits(text)..];
        let patch = match rest.strip_prefix('.') {
            Some(rest) => rest.get(..digits(rest))?.parse().unwrap_or(0),
            None => 0,
        };
        Some(GoVersion { minor, patch })
    }
}

/// Where a layout came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Table,
    Dwarf,
    /// The newest row, for a Go newer than the table.
    Guess,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Table => "table",
            Source::Dwarf => "dwarf",
            Source::Guess => "guess",
        }
    }
}

pub use choose::{Choice, choose};
pub use dwarf::from_dwarf;
pub use table::{NEWEST, OLDEST, from_table};
