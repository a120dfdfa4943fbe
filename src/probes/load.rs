//! Compiled probes into the kernel: constants in, programs attached, rings in their map. What is attached is gone when it is dropped,
//! and, since all of it hangs on descriptors, also when goscope is killed.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use aya::maps::{Map, PerCpuArray};
use aya::programs::perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent};
use aya::programs::{BtfTracePoint, PerfEvent, Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};

use super::sites::Found;
use super::tls;
use super::uprobes::{self, Uprobes};
use crate::error::{Error, Result};
use crate::sys::bpf;
use crate::sys::perf::Ring;
use crate::target::layout::{Field, GoVersion};
use crate::target::runtime::GoProcess;

static SCHED: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sched.bpf.o"));

/// Pages of all rings together (32 MiB at 4 KiB), of one at most and at least.
const ALL_PAGES: usize = 8192;
const MOST_PAGES: usize = 1024;
const LEAST_PAGES: usize = 64;
/// A fraction of the ring: one that is as large as the ring loses events while the reader wakes up.
const WATERMARK: u32 = 64 << 10;
/// PROC_PID_INIT_INO (include/linux/proc_ns.h): the inode of the first pid namespace.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Times a second that each CPU is asked what it runs; `None` for never.
    pub sample_hz: Option<u32>,
    /// Threads leaving and getting a CPU.
    pub switches: Option<Switches>,
    /// The runtime's transitions to catch.
    pub sites: Vec<Found>,
    pub links: Links,
}

/// How breakpoints are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// All by one link where the kernel can (since 6.6), else each by its own.
    #[default]
    Best,
    /// Each by its own: what older kernels have. Each takes about 100 ms to go, one after the other.
    Single,
}

/// Links of their own are set to so many sites at most, in the order given.
pub const MOST_SINGLE_LINKS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switches {
    /// Counted, and waits for a CPU put into a histogram.
    Counted,
    /// Each with its stack too.
    Told,
}

/// Attached programs. Dropping it detaches them.
pub struct Probes {
    /// Before the rest, so that nothing is sent when the rings are gone.
    uprobes: Option<Uprobes>,
    single_links: usize,
    ebpf: Ebpf,
    pub(super) rings: Vec<(u32, Ring)>,
}

/// Which process the probes look at, and where its threads keep their g.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pid: u32,
    executable: PathBuf,
    tls_g: i32,
}

impl Place {
    fn of(process: &GoProcess) -> Result<Place> {
        let tls_g = tls::g_offset(process).ok_or_else(|| {
            Error::target("cannot tell where this program's threads keep their goroutine: runtime.stackcheck reads it in an unknown way")
                .hint("--tier 0 works without")
        })?;
        Ok(Place { pid: process.pid, executable: PathBuf::from(format!("/proc/{}/exe", process.pid)), tls_g })
    }

    /// goscope itself.
    pub(super) fn own(tls_g: i32) -> Result<Place> {
        Ok(Place { pid: std::process::id(), executable: PathBuf::from("/proc/self/exe"), tls_g })
    }
}

impl Probes {
    /// Loads and attaches. Nothing is read of other processes, but for the two numbers that tell them from the target.
    ///
    /// Errors, Permission: no right to, or the kernel lacks something (named). Target: how it keeps its goroutines is not known, or it is
    /// gone.
    pub fn attach(process: &GoProcess, wanted: &Wanted) -> Result<Probes> {
        // A process that has ended meanwhile is the reason for whatever failed.
        Self::attach_at(process, &Place::of(process)?, wanted).map_err(|error| process.check().err().unwrap_or(error))
    }

    /// As `attach`, to another process whose records are laid out as those of `process`.
    pub(super) fn attach_at(process: &GoProcess, place: &Place, wanted: &Wanted) -> Result<Probes> {
        let btf = Btf::from_sys_fs().map_err(|e| {
            Error::permission("this kernel does not describe its types (no /sys/kernel/btf/vmlinux)")
                .because(e)
                .hint("kernels from 5.15 on, built with CONFIG_DEBUG_INFO_BTF, have it; --tier 0 works without")
        })?;
        // The fourth argument of sched_switch came with Linux 5.18; where it is not, the verifier refuses to read it.
        let attached = Self::load(process, place, wanted, &btf, true);
        match attached {
            Err(error) if wanted.switches.is_some() && error.kind == crate::error::Kind::Permission && !denied() => {
                Self::load(process, place, wanted, &btf, false).map_err(|_| error)
            }
            attached => attached,
        }
    }

    fn load(process: &GoProcess, place: &Place, wanted: &Wanted, btf: &Btf, has_prev_state: bool) -> Result<Probes> {
        let mut loader = EbpfLoader::new();
        loader.btf(Some(btf));
        let constants = constants(process, place, wanted, has_prev_state)?;
        for (name, value) in &constants {
            loader.override_global(name, value, true);
        }
        let ebpf = loader.load(SCHED).map_err(|e| cannot("load the probes", &e))?;
        let mut rings = Vec::new();
        let cpus = online_cpus()?;
        let pages = (ALL_PAGES / cpus.len().max(1)).clamp(LEAST_PAGES, MOST_PAGES);
        for cpu in cpus {
            match open_ring(cpu, pages) {
                Ok(ring) => rings.push((cpu, ring)),
                // Taken off line since.
                Err(e) if e.raw_os_error() == Some(libc::ENODEV) => {}
                Err(e) => return Err(cannot("open a perf buffer", &e)),
            }
        }
        let Some(Map::PerfEventArray(map)) = ebpf.map("events") else { return Err(missing("events")) };
        for (cpu, ring) in &rings {
            bpf::set_fd(map.fd().as_fd(), *cpu, ring.as_fd()).map_err(|e| cannot("set up a perf buffer", &e))?;
            ring.enable().map_err(|e| cannot("enable a perf buffer", &e))?;
        }
        let mut probes = Probes { uprobes: None, single_links: 0, ebpf, rings };
        if wanted.switches.is_some() {
            probes.attach_tracepoint("on_wakeup", "sched_wakeup", btf)?;
            probes.attach_tracepoint("on_switch", "sched_switch", btf)?;
        }
        if let Some(hz) = wanted.sample_hz {
            probes.attach_clock(hz)?;
        }
        if !wanted.sites.is_empty() {
            probes.attach_sites(place, wanted, btf)?;
        }
        Ok(probes)
    }

    fn attach_tracepoint(&mut self, program: &str, tracepoint: &str, btf: &Btf) -> Result<()> {
        let what = format!("attach to the kernel's {tracepoint}");
        let found: &mut BtfTracePoint = self.program(program)?;
        found.load(tracepoint, btf).and_then(|()| found.attach()).map(drop).map_err(|e| cannot(&what, &e))
    }

    fn attach_sites(&mut self, place: &Place, wanted: &Wanted, btf: &Btf) -> Result<()> {
        let one = match wanted.links {
            Links::Best => uprobes::attach(SCHED, &self.ebpf, btf, place.pid, &place.executable, &wanted.sites),
            Links::Single => Err(missing("on_site")),
        };
        match one {
            Ok(uprobes) => self.uprobes = Some(uprobes),
            // What the kernel says of many at once it would say of each; only that it does not know how is worth another try.
            Err(_) if wanted.links == Links::Single || !uprobes::has_multi() => {
                let sites = &wanted.sites[..wanted.sites.len().min(MOST_SINGLE_LINKS)];
                uprobes::attach_singly(self.program("on_site")?, place.pid, &place.executable, sites)?;
                self.single_links = sites.len();
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sites with a link of their own; 0 where one link has them all.
    pub fn single_links(&self) -> usize {
        self.single_links
    }

    fn attach_clock(&mut self, hz: u32) -> Result<()> {
        let cpus: Vec<u32> = self.rings.iter().map(|(cpu, _)| *cpu).collect();
        let found: &mut PerfEvent = self.program("on_sample")?;
        found.load().map_err(|e| cannot("load the sampling probe", &e))?;
        for cpu in cpus {
            // Scope "one process" would be one thread of it.
            let scope = PerfEventScope::AllProcessesOneCpu { cpu };
            let clock = PerfEventConfig::Software(SoftwareEvent::CpuClock);
            let policy = SamplePolicy::Frequency(u64::from(hz));
            found.attach(clock, scope, policy, false).map_err(|e| cannot("sample the CPUs", &e))?;
        }
        Ok(())
    }

    fn program<'a, T>(&'a mut self, name: &str) -> Result<&'a mut T>
    where
        &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let program = self.ebpf.program_mut(name).ok_or_else(|| missing(name))?;
        program.try_into().map_err(|_| missing(name))
    }

    /// Detaches everything; what was sent can still be read.
    pub(super) fn stop(&mut self) {
        self.uprobes = None;
        for (_, program) in self.ebpf.programs_mut() {
            // One that was never loaded says so, which is as well.
            let _ = match program {
                Program::BtfTracePoint(program) => program.unload(),
                Program::PerfEvent(program) => program.unload(),
                Program::UProbe(program) => program.unload(),
                _ => Ok(()),
            };
        }
    }

    /// How long a program has run so far, in nanoseconds, and how often; zero unless the kernel is told to count.
    pub fn run_stats(&self, program: &str) -> (u64, u64) {
        let info = self.ebpf.program(program).and_then(|program| program.info().ok());
        info.map_or((0, 0), |info| (info.run_time().as_nanos() as u64, info.run_count()))
    }

    pub(super) fn switches_with_goroutine(&self) -> u64 {
        self.counter(super::stream::counter::SWITCHES_G).iter().sum()
    }

    /// One of the counters in `probes/sched.bpf.c`, by CPU number.
    pub(super) fn counter(&self, index: u32) -> Vec<u64> {
        let map = self.ebpf.map("counters").and_then(|map| PerCpuArray::<_, u64>::try_from(map).ok());
        let values = map.and_then(|map| map.get(&index, 0).ok());
        values.map_or_else(Vec::new, |values| values.iter().copied().collect())
    }
}

/// Smaller, where so much memory may not be locked (kernel.perf_event_mlock_kb).
fn open_ring(cpu: u32, pages: usize) -> io::Result<Ring> {
    let ring = Ring::open(cpu, pages, WATERMARK);
    match &ring {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) && pages > LEAST_PAGES => open_ring(cpu, pages / 2),
        _ => ring,
    }
}

/// Values of the probes' `const volatile` variables.
fn constants(process: &GoProcess, place: &Place, wanted: &Wanted, has_prev_state: bool) -> Result<Vec<(&'static str, u32)>> {
    let offset = |field| process.offset(field).map(|offset| offset as u32);
    // `runtime.pollDesc` (runtime/netpoll.go): link, fd, since 1.21 fdseq, atomicInfo, rg, wg.
    let poll_rg = if process.version < GoVersion::new(21, 0) { 24 } else { 32 };
    let (tgid, pid_ns, ns_pid) = numbers(place.pid)?;
    Ok(vec![
        ("target_tgid", tgid),
        ("pid_ns", pid_ns),
        ("target_ns_pid", ns_pid),
        ("with_switch_stacks", u32::from(wanted.switches == Some(Switches::Told))),
        ("has_prev_state", u32::from(has_prev_state)),
        ("tls_g", place.tls_g as u32),
        ("g_m", offset(Field::GM)?),
        ("g_goid", offset(Field::GGoid)?),
        ("g_status", offset(Field::GAtomicStatus)?),
        ("g_go_pc", offset(Field::GGoPc)?),
        ("g_labels", offset(Field::GLabels)?),
        ("labels_in_slice", u32::from(process.version >= GoVersion::new(24, 0))),
        ("g_syscall_pc", offset(Field::GSyscallPc)?),
        ("g_syscall_sp", offset(Field::GSyscallSp)?),
        ("g_sched_sp", offset(Field::GSchedSp)?),
        ("g_sched_pc", offset(Field::GSchedPc)?),
        ("g_sched_bp", offset(Field::GSchedBp)?),
        ("m_curg", offset(Field::MCurg)?),
        ("m_p", offset(Field::MP)?),
        ("m_incgo", offset(Field::MIncgo)?),
        ("p_id", offset(Field::PId)?),
        ("p_m", offset(Field::PM)?),
        ("poll_rg", poll_rg),
        ("poll_wg", poll_rg + 8),
    ])
}

/// The kernel counts processes by their number in the first pid namespace: (that number, 0, 0), or (0, our namespace, number in it).
fn numbers(pid: u32) -> Result<(u32, u32, u32)> {
    let own = fs::metadata("/proc/self/ns/pid").map_err(|e| Error::io("cannot read /proc/self/ns/pid").because(e))?.ino();
    match own {
        FIRST_PID_NAMESPACE => Ok((pid, 0, 0)),
        other => Ok((0, other as u32, pid)),
    }
}

/// `0-3,5`
fn online_cpus() -> Result<Vec<u32>> {
    let path = "/sys/devices/system/cpu/online";
    let text = fs::read_to_string(path).map_err(|e| Error::io(format!("cannot read {path}")).because(e))?;
    Ok(cpu_list(&text))
}

fn cpu_list(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?.min(1 << 16))
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

/// True when this process lacks the rights for BPF, whatever the program.
fn denied() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:")).and_then(|caps| u64::from_str_radix(caps.trim(), 16).ok());
    // include/uapi/linux/capability.h: CAP_SYS_ADMIN 21, CAP_PERFMON 38, CAP_BPF 39.
    caps.is_none_or(|caps| caps & 1 << 21 == 0 && caps & (1 << 38 | 1 << 39) != (1 << 38 | 1 << 39))
}

pub(super) fn cannot(what: &str, error: &dyn std::error::Error) -> Error {
    // The library's messages name the step; the kernel's own word is at the end of the chain.
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        texts.push(source.to_string());
        next = source.source();
    }
    texts.dedup();
    let text = texts.join(": ");
    if std::env::var_os("DBG").is_some() {
        eprintln!("{text}");
    }
    let text: String = text.lines().next().unwrap_or_default().chars().take(300).collect();
    let failed = Error::permission(format!("cannot {what}")).because(io::Error::other(text));
    match denied() {
        true => failed.hint("run goscope as root, or give it CAP_BPF and CAP_PERFMON; `--tier 0` needs neither"),
        false => failed.hint("`goscope info TARGET` says what this kernel offers; `--tier 0` works without probes"),
    }
}

fn missing(name: &str) -> Error {
    Error::permission(format!("the compiled probes lack `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_come_as_ranges() {
        assert_eq!(cpu_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(cpu_list("0\n"), [0]);
        assert_eq!(cpu_list("\n"), Vec::<u32>::new());
        assert_eq!(cpu_list("x-1,3-x"), Vec::<u32>::new());
    }
}
