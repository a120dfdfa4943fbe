//! What the probes cost on this host, measured on goscope itself before anything is attached to a target.
//!
//! A virtual machine may pay ten times what metal pays for a trap, so no figure from elsewhere will do.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use aya::sys::{Stats, enable_stats};

use super::load::{Links, Place, Probes, Switches, Wanted};
use super::sites::{Found, Site};
use crate::error::{Error, Result};
use crate::sys::calibrate;
use crate::target::layout::Field;
use crate::target::process::{Mapping, parse_maps};
use crate::target::runtime::GoProcess;

/// Nanoseconds that the target, or whoever runs, pays for one event.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// A thread of the target leaves a CPU with a goroutine, is woken and gets one again: with its stack, and only counted.
    pub switch_told: f64,
    pub switch_counted: f64,
    /// A context switch of any other process.
    pub switch_other: f64,
    /// A hit of a site, with a stack and without.
    pub site_stack: f64,
    pub site_plain: f64,
}

/// What only compares two numbers takes as long as the clock that times it can tell.
const OTHER_NS: f64 = 60.0;
/// The clock's interrupt and the walk it causes, beside what a switch with its stack costs.
const SAMPLE_INTERRUPT_NS: f64 = 2_000.0;
/// Each is measured so often, and the least counts: whoever else has the CPU meanwhile makes a round longer, never shorter.
const ROUNDS: u32 = 8;
/// Calls of the calibration site in one round.
const HITS: u32 = 250;
/// Times that two threads take turns in one round.
const TURNS: usize = 50;

impl Prices {
    /// One sample of a CPU that runs the target.
    pub fn sample(&self) -> f64 {
        self.switch_told + SAMPLE_INTERRUPT_NS
    }
}

/// A goroutine, its M and its P as the probes of this target would read them, in goscope's own memory.
struct Stage {
    /// Held for its address.
    _memory: Vec<u64>,
    g: u64,
}

impl Stage {
    fn new(process: &GoProcess) -> Result<Stage> {
        const SIZE: usize = 2048;
        let mut memory = vec![0u64; 3 * SIZE / 8];
        let base = memory.as_ptr() as u64;
        let (g, m, p) = (base, base + SIZE as u64, base + 2 * SIZE as u64);
        let mut set = |field: Field, of: u64, value: u64| -> Result<()> {
            let at = (of - base) as usize / 8 + process.offset(field)? / 8;
            if let Some(word) = memory.get_mut(at) {
                *word = value;
            }
            Ok(())
        };
        set(Field::GM, g, m)?;
        set(Field::GGoid, g, 1)?;
        set(Field::MCurg, m, g)?;
        set(Field::MP, m, p)?;
        Ok(Stage { _memory: memory, g })
    }
}

/// Prices of context switches. Errors: as [`Probes::attach`].
pub fn switches(process: &GoProcess) -> Result<Prices> {
    let stage = Stage::new(process)?;
    let mut prices = Prices::default();
    for switches in [Switches::Counted, Switches::Told] {
        let (own, other) = measure_switches(process, &stage, switches)?;
        match switches {
            Switches::Counted => prices.switch_counted = own,
            Switches::Told => prices.switch_told = own,
        }
        prices.switch_other = other;
    }
    Ok(prices)
}

/// Of one's own switch, and of another process's.
fn measure_switches(process: &GoProcess, stage: &Stage, switches: Switches) -> Result<(f64, f64)> {
    let place = Place::own(calibrate::set_g(stage.g))?;
    let wanted = Wanted { sample_hz: None, switches: Some(switches), sites: Vec::new(), links: Links::Best };
    let probes = Probes::attach_at(process, &place, &wanted)?;
    // Without the right to have programs timed, all of a switch is timed, with the probes and without.
    let Ok(_timing) = time_programs() else {
        let turns = || undisturbed(|| time_turns(stage.g).unwrap_or(f64::INFINITY));
        let with = turns();
        drop(probes);
        let own = with - turns();
        return Ok((if own.is_finite() { own.max(OTHER_NS) } else { OTHER_NS }, OTHER_NS));
    };
    let stats = || {
        let (switches, wakeups) = (probes.run_stats("on_switch"), probes.run_stats("on_wakeup"));
        (switches.0 + wakeups.0, switches.1 + wakeups.1)
    };
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (before, own_before) = (stats(), probes.switches_with_goroutine());
        take_turns(stage.g).map_err(|e| Error::io("cannot make two threads take turns").because(e))?;
        let (time, runs) = stats();
        let own = (probes.switches_with_goroutine() - own_before).max(1) as f64;
        let rest = ((runs - before.1) as f64 - 3.0 * own).max(0.0) * OTHER_NS;
        least = least.min(((time - before.0) as f64 - rest) / own);
    }
    Ok((least.max(OTHER_NS), OTHER_NS))
}

/// While the result is held the kernel times every run of a BPF program, at some 30 ns each.
pub fn time_programs() -> Result<OwnedFd> {
    enable_stats(Stats::RunTime).map_err(|e| Error::permission("cannot have the kernel time BPF programs").because(e))
}

/// Nanoseconds of one switch when two threads take turns.
fn time_turns(g: u64) -> std::io::Result<f64> {
    let begin = Instant::now();
    take_turns(g)?;
    Ok(begin.elapsed().as_nanos() as f64 / (2 * TURNS) as f64)
}

/// Two threads with a goroutine each wake each other.
fn take_turns(g: u64) -> std::io::Result<()> {
    let (mut here, mut there) = UnixStream::pair()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            calibrate::set_g(g);
            let mut byte = [0];
            while there.read_exact(&mut byte).is_ok() && there.write_all(&byte).is_ok() {}
        });
        let taken = scope.spawn(move || {
            calibrate::set_g(g);
            let mut byte = [0];
            (0..TURNS).try_for_each(|_| here.write_all(&byte).and_then(|()| here.read_exact(&mut byte)))
        });
        taken.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread ended early")))
    })
}

fn undisturbed(mut round: impl FnMut() -> f64) -> f64 {
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// Prices of hits, added to `prices`. Errors: as [`Probes::attach`].
pub fn sites(process: &GoProcess, prices: &mut Prices) -> Result<()> {
    let stage = Stage::new(process)?;
    let own = std::fs::read("/proc/self/maps").map_err(|e| Error::io("cannot read /proc/self/maps").because(e))?;
    let address = calibrate::site();
    let holds = |map: &Mapping| (map.start..map.end).contains(&address);
    let map = parse_maps(&own).into_iter().find(holds).ok_or_else(|| Error::io("goscope's own code is not mapped"))?;
    let free = undisturbed(|| calibrate::hit(stage.g, HITS));
    for (site, with_stack) in [(Site::Gopark, true), (Site::Execute, false)] {
        let found = Found { site, function: "goscope", address, file_offset: address - map.start + map.offset };
        let place = Place::own(calibrate::set_g(stage.g))?;
        let wanted = Wanted { sample_hz: None, switches: None, sites: vec![found], links: Links::Best };
        let attached = Probes::attach_at(process, &place, &wanted)?;
        let price = undisturbed(|| calibrate::hit(stage.g, HITS)) - free;
        drop(attached);
        if with_stack { prices.site_stack = price } else { prices.site_plain = price }
    }
    Ok(())
}
