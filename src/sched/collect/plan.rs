//! What looking will cost, told before anything is attached; and how closely to look for a given price.

use std::time::{Duration, Instant};

use super::threads::ThreadTimes;
use super::{Options, nanos};
use crate::error::Result;
use crate::probes::price::{self, Prices};
use crate::probes::sites::{self, Site};
use crate::probes::{Links, Probes, Stream, Wanted};
use crate::sched::model::{Item, Payer, Plan, Tier};
use crate::target::process::read_of_host;
use crate::target::runtime::GoProcess;

/// Events a second, as they were just before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Threads of the target put on a CPU.
    pub target_switches: f64,
    pub other_switches: f64,
    /// CPUs that the target keeps busy.
    pub busy_cpus: f64,
    /// Goroutines put on a P; only where it was asked for.
    pub executes: f64,
}

/// Looks on for `window`. With `transitions` the dispatches of goroutines are counted by one cheap probe.
///
/// Errors: as [`Probes::attach`].
pub fn rates(process: &GoProcess, window: Duration, transitions: bool) -> Result<Rates> {
    let probe = if transitions { executes(process)? } else { None };
    let (threads, host, begin) = (ThreadTimes::read(process), host_switches(), Instant::now());
    let hits_before = probe.as_ref().map_or(0, |stream| stream.hits(Site::Execute));
    std::thread::sleep(window);
    let seconds = begin.elapsed().as_secs_f64();
    let since = ThreadTimes::read(process).since(&threads);
    let switches = since.iter().map(|thread| thread.switches).sum::<u64>() as f64 / seconds;
    let all = host_switches().saturating_sub(host) as f64 / seconds;
    let busy = since.iter().map(|thread| thread.on_cpu_ns).sum::<u64>() as f64 / nanos(begin.elapsed()) as f64;
    let hits = probe.as_ref().map_or(0, |stream| stream.hits(Site::Execute)) - hits_before;
    Ok(Rates { target_switches: switches, other_switches: (all - switches).max(0.0), busy_cpus: busy, executes: hits as f64 / seconds })
}

/// Counts, and sends to rings that nobody reads.
fn executes(process: &GoProcess) -> Result<Option<Stream>> {
    let Some(Ok(found)) = sites::find(process, &[Site::Execute]).into_iter().next() else { return Ok(None) };
    let wanted = Wanted { sample_hz: None, switches: None, sites: vec![found], links: Links::Best };
    Ok(Some(Stream::new(Probes::attach(process, &wanted)?)))
}

/// Context switches of the host since it started (`/proc/stat`).
fn host_switches() -> u64 {
    let text = read_of_host("stat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("ctxt "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// The prices that a tier needs, measured. Errors: as [`Probes::attach`].
pub fn prices(process: &GoProcess, transitions: bool) -> Result<Prices> {
    let mut prices = price::switches(process)?;
    if transitions {
        price::sites(process, &mut prices)?;
    }
    Ok(prices)
}

/// The price of one way to look.
pub fn plan(options: &Options, rates: &Rates, prices: &Prices) -> Plan {
    let mut items = Vec::new();
    if options.tier >= Tier::Switches {
        let each = if options.switch_stacks { prices.switch_told } else { prices.switch_counted };
        let what = if options.switch_stacks { "context switches, with stacks" } else { "context switches, counted" };
        items.push(Item { what: what.into(), payer: Payer::Target, per_second: rates.target_switches, ns_each: each });
        let samples = f64::from(options.hz) * rates.busy_cpus;
        items.push(Item { what: "samples of its CPUs".into(), payer: Payer::Target, per_second: samples, ns_each: prices.sample() });
        let other = Item {
            what: "context switches of all others".into(),
            payer: Payer::Host,
            per_second: rates.other_switches,
            ns_each: prices.switch_other,
        };
        items.push(other);
    }
    if options.tier >= Tier::Transitions {
        // As often as a goroutine is put on a P, one was made ready and one went to wait.
        for (what, ns_each) in [("runqput", prices.site_stack), ("gopark", prices.site_stack), ("execute", prices.site_plain)] {
            items.push(Item { what: what.into(), payer: Payer::Target, per_second: rates.executes, ns_each });
        }
    }
    Plan { tier: options.tier, hz: options.hz, switch_stacks: options.switch_stacks, items }
}

/// The closest look that costs the target at most `percent` of one CPU; with nothing but the runtime's counters at the end of the list.
pub fn choose(asked: &Options, rates: &Rates, prices: &Prices, percent: f64) -> (Options, Plan) {
    /// A prime, as the usual rate is, so that it does not run in step with what it looks at.
    const SLOW_HZ: u32 = 19;
    let slower = asked.hz.min(SLOW_HZ);
    let ways = [(true, asked.hz), (true, slower), (false, asked.hz), (false, slower)];
    let ways = ways.map(|(switch_stacks, hz)| Options { tier: Tier::Switches, hz, switch_stacks, ..*asked });
    for options in ways {
        let plan = plan(&options, rates, prices);
        if plan.percent(Payer::Target) <= percent {
            return (options, plan);
        }
    }
    let options = Options { tier: Tier::Counters, ..*asked };
    (options, plan(&options, rates, prices))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Options = Options { tier: Tier::Switches, hz: 97, switch_stacks: true, length: None, timeline: false };
    const PRICES: Prices =
        Prices { switch_told: 4000.0, switch_counted: 300.0, switch_other: 60.0, site_stack: 2000.0, site_plain: 1000.0 };

    fn chosen(switches: f64, percent: f64) -> (Tier, bool, u32) {
        let rates = Rates { target_switches: switches, busy_cpus: 1.0, ..Rates::default() };
        let (options, _) = choose(&ASKED, &rates, &PRICES, percent);
        (options.tier, options.switch_stacks, options.hz)
    }

    #[test]
    fn the_closest_look_that_fits_is_taken() {
        // 97 samples of 6 us are 0.06 %.
        assert_eq!(chosen(1_000.0, 1.0), (Tier::Switches, true, 97));
        assert_eq!(chosen(2_400.0, 1.0), (Tier::Switches, true, 19));
        assert_eq!(chosen(10_000.0, 1.0), (Tier::Switches, false, 97));
        assert_eq!(chosen(32_500.0, 1.0), (Tier::Switches, false, 19));
        assert_eq!(chosen(100_000.0, 1.0).0, Tier::Counters);
        assert_eq!(chosen(0.0, 0.0).0, Tier::Counters);
    }

    #[test]
    fn each_payer_has_a_sum_of_its_own() {
        let rates = Rates { target_switches: 1_000.0, other_switches: 10_000.0, busy_cpus: 0.0, executes: 5_000.0 };
        let plan = plan(&Options { tier: Tier::Transitions, ..ASKED }, &rates, &PRICES);
        assert_eq!(plan.percent(Payer::Host), 0.06);
        // 0.4 % for the switches; 2 x 5,000 x 2 us and 5,000 x 1 us are 2.5 %.
        assert!((plan.percent(Payer::Target) - 2.9).abs() < 1e-9, "{plan:?}");
    }
}
