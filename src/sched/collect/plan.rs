//! What looking will cost, told before anything is attached; and how closely to look for a given price.

use std::time::{Duration, Instant};

use super::Options;
use super::threads::ThreadTimes;
use crate::error::Result;
use crate::probes::price::{self, Prices};
use crate::probes::sites::{self, Site};
use crate::probes::{Links, Probes, Stream, Switches, Wanted};
use crate::sched::model::{Item, Payer, Plan, Tier};
use crate::target::process::read_of_host;
use crate::target::runtime::GoProcess;

/// Events a second, as they were just before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Threads of the target that leave a CPU, with a goroutine and without.
    pub goroutine_switches: f64,
    pub idle_switches: f64,
    /// Of all other processes.
    pub other_switches: f64,
    /// CPUs that the target keeps busy.
    pub busy_cpus: f64,
    /// Stops of the world and collections; only for a tier that watches them.
    pub rare: f64,
    /// Goroutines put on a P; only for tier 3.
    pub executes: f64,
}

/// Looks on for `window`, with the cheapest probes that count what `tier` tells.
///
/// Errors: as [`Probes::attach`].
pub fn rates(process: &GoProcess, window: Duration, tier: Tier) -> Result<Rates> {
    let mut wanted = Vec::new();
    if tier >= Tier::Rare {
        wanted.extend(Site::RARE);
    }
    if tier >= Tier::Transitions {
        wanted.push(Site::Execute);
    }
    let sites = sites::find(process, &wanted).into_iter().flatten().collect();
    let stream =
        Stream::new(Probes::attach(process, &Wanted { sample_hz: None, switches: Some(Switches::Counted), sites, links: Links::Best })?);
    let (threads, host, begin) = (ThreadTimes::read(process), host_switches(), Instant::now());
    let hits = |sites: &[Site]| sites.iter().map(|&site| stream.hits(site)).sum::<u64>();
    let (before, rare, executes) = (stream.counted(), hits(&Site::RARE), hits(&[Site::Execute]));
    std::thread::sleep(window);
    let per_second = |events: u64| events as f64 / begin.elapsed().as_secs_f64();
    let counted = stream.counted();
    let busy = ThreadTimes::read(process).since(&threads).iter().map(|thread| thread.on_cpu_ns).sum::<u64>();
    let goroutine_switches = per_second(counted.switches_with_goroutine - before.switches_with_goroutine);
    let idle_switches = per_second(counted.switches_without - before.switches_without);
    Ok(Rates {
        goroutine_switches,
        idle_switches,
        other_switches: (per_second(host_switches().saturating_sub(host)) - goroutine_switches - idle_switches).max(0.0),
        busy_cpus: per_second(busy) / 1e9,
        rare: per_second(hits(&Site::RARE) - rare),
        executes: per_second(hits(&[Site::Execute]) - executes),
    })
}

/// Context switches of the host since it started (`/proc/stat`).
fn host_switches() -> u64 {
    let text = read_of_host("stat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("ctxt "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// The prices that a tier needs, measured. Errors: as [`Probes::attach`].
pub fn prices(process: &GoProcess, tier: Tier) -> Result<Prices> {
    let mut prices = price::switches(process)?;
    if tier >= Tier::Rare {
        price::sites(process, &mut prices)?;
    }
    Ok(prices)
}

/// The most frequent ones, which make the price of tier 3.
const TRANSITIONS: [&str; 3] = ["runqput", "gopark", "execute"];

/// The price of one way to look.
pub fn plan(options: &Options, rates: &Rates, prices: &Prices) -> Plan {
    let mut items = Vec::new();
    if options.tier >= Tier::Switches {
        let told = if options.switch_stacks { prices.switch_told } else { prices.switch_counted };
        let samples = f64::from(options.hz) * rates.busy_cpus;
        let what = if options.switch_stacks { "context switches with a goroutine, its stack" } else { "context switches with a goroutine" };
        items.push(item(what, Payer::Target, rates.goroutine_switches, told));
        items.push(item("context switches without one", Payer::Target, rates.idle_switches, prices.switch_counted));
        items.push(item("samples of its CPUs", Payer::Target, samples, prices.sample()));
        items.push(item("context switches of all others", Payer::Host, rates.other_switches, prices.switch_other));
    }
    if options.tier >= Tier::Rare {
        items.push(item("stops of the world and collections", Payer::Target, rates.rare, prices.site_stack));
    }
    if options.tier >= Tier::Transitions {
        // As often as a goroutine is put on a P, one was made ready and one went to wait.
        let [runqput, gopark, execute] = TRANSITIONS;
        items.push(item(runqput, Payer::Target, rates.executes, prices.site_stack));
        items.push(item(gopark, Payer::Target, rates.executes, prices.site_stack));
        items.push(item(execute, Payer::Target, rates.executes, prices.site_plain));
    }
    Plan { tier: options.tier, hz: options.hz, switch_stacks: options.switch_stacks, items }
}

/// How many transitions a second a plan told of.
pub fn transitions_told(plan: &Plan) -> f64 {
    plan.items.iter().filter(|item| TRANSITIONS.contains(&&*item.what)).map(|item| item.per_second).sum()
}

fn item(what: &'static str, payer: Payer, per_second: f64, ns_each: f64) -> Item {
    Item { what: what.into(), payer, per_second, ns_each }
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
        let rates = Rates { goroutine_switches: switches, busy_cpus: 1.0, ..Rates::default() };
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
    fn threads_without_a_goroutine_have_no_stack_to_pay_for() {
        let rates = Rates { goroutine_switches: 1_000.0, idle_switches: 10_000.0, ..Rates::default() };
        // 1,000 x 4 us and 10,000 x 0.3 us.
        assert!((plan(&ASKED, &rates, &PRICES).percent(Payer::Target) - 0.7).abs() < 1e-9);
    }

    #[test]
    fn transitions_are_told_by_tier_3_alone() {
        let rates = Rates { goroutine_switches: 10.0, executes: 5_000.0, rare: 3.0, ..Rates::default() };
        let told = |tier| transitions_told(&plan(&Options { tier, ..ASKED }, &rates, &PRICES));
        assert_eq!((told(Tier::Rare), told(Tier::Transitions)), (0.0, 15_000.0));
    }

    #[test]
    fn each_payer_has_a_sum_of_its_own() {
        let rates = Rates { goroutine_switches: 1_000.0, other_switches: 10_000.0, executes: 5_000.0, ..Rates::default() };
        let plan = plan(&Options { tier: Tier::Transitions, ..ASKED }, &rates, &PRICES);
        assert_eq!(plan.percent(Payer::Host), 0.06);
        // 0.4 % for the switches; 2 x 5,000 x 2 us and 5,000 x 1 us are 2.5 %.
        assert!((plan.percent(Payer::Target) - 2.9).abs() < 1e-9, "{plan:?}");
    }
}
