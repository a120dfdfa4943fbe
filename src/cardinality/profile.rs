//! Runs the analyses of a scrape, the long ones on all CPUs.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

use super::analyze::baseline::Change;
use super::analyze::buckets::{Buckets, Wanted, buckets};
use super::analyze::exemplars::{Exemplars, Sampling, exemplars};
use super::analyze::gate;
use super::analyze::lint::{self, lint};
use super::analyze::memory::{Memory, Server, memory};
use super::analyze::metrics::{Metric, metrics, values};
use super::analyze::outlook::growth::Growth;
use super::analyze::outlook::{Outlook, outlooks, start_time};
use super::analyze::shapes::{Shape, shape};
use super::analyze::simulate::Simulation;
use super::analyze::suggest::{Plan as Fixes, suggest};
use super::analyze::without::{Counted, Plan, Scratch, Without, Workspace, plan};
use super::collect::Collected;
use super::model::{Family, Scrape};
use crate::formats::exposition::Rules;

/// More threads than this gain nothing.
const MOST_THREADS: usize = 8;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Values listed of each label.
    pub top: usize,
    pub buckets: Option<Wanted>,
    pub exemplars: Option<Sampling>,
    pub lint: bool,
}

/// A scrape, and what is said of it.
#[derive(Debug, Clone)]
pub struct Profile {
    pub captured_at: SystemTime,
    /// Whose decide what is an error.
    pub rules: Rules,
    /// URLs and paths, as they are shown.
    pub sources: Vec<String>,
    /// Sources that could not be read, and why.
    pub failed: Vec<String>,
    pub scrape: Scrape,
    /// Biggest first.
    pub metrics: Vec<Metric>,
    /// For each family of the scrape.
    pub outlooks: Vec<Outlook>,
    /// What a server needs for it, a model.
    pub memory: Memory,
    /// Histograms, by their family; empty unless asked for.
    pub buckets: Vec<(usize, Buckets)>,
    pub exemplars: Option<Exemplars>,
    pub lint: Option<Vec<lint::Finding>>,
    pub gate: Option<Gate>,
    pub growth: Option<Growing>,
    pub simulation: Option<Simulation>,
    pub plan: Option<Fixes>,
}

/// How it grew over several scrapes.
#[derive(Debug, Clone)]
pub struct Growing {
    pub growth: Growth,
    /// When this many series are reached is told.
    pub budget: Option<u64>,
}

/// What the limits say.
#[derive(Debug, Clone)]
pub struct Gate {
    pub findings: Vec<gate::Finding>,
    /// Entries of the budget file that are about nothing that is there, a sentence each.
    pub unmatched: Vec<String>,
    /// Since the baseline, where there is one.
    pub changes: Option<Vec<Change>>,
}

impl Profile {
    pub fn new(collected: Collected, captured_at: SystemTime, options: &Options) -> Self {
        let Collected { scrape, rules, sources, failed, .. } = collected;
        let now = captured_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Profile {
            captured_at,
            rules,
            sources,
            failed: failed.iter().map(ToString::to_string).collect(),
            metrics: metrics(&scrape, without(&scrape, options.top), shapes(&scrape)),
            outlooks: outlooks(&scrape, start_time(&scrape).map(|start| now - start)),
            memory: memory(&scrape, &Server::default()),
            buckets: options.buckets.as_ref().map(|wanted| histograms(&scrape, wanted)).unwrap_or_default(),
            exemplars: options.exemplars.as_ref().map(|sampling| exemplars(&scrape, sampling)),
            lint: options.lint.then(|| lint(&scrape)),
            gate: None,
            growth: None,
            simulation: None,
            plan: None,
            scrape,
        }
    }
}

impl Profile {
    /// Looks for the edits that bring it to `budget`.
    pub fn suggest(&mut self, budget: Option<u64>, buckets: &Wanted) {
        let histograms = histograms(&self.scrape, buckets);
        self.plan = Some(suggest(&self.scrape, &self.metrics, &histograms, &self.memory, budget));
    }
}

/// For each family the shapes of its labels, in their order.
fn shapes(scrape: &Scrape) -> Vec<Vec<Shape>> {
    let columns: Vec<(usize, usize)> = scrape
        .families
        .iter()
        .enumerate()
        .flat_map(|(number, family)| (0..family.columns.len()).map(move |column| (number, column)))
        .collect();
    let mut found = on_threads(
        columns.len(),
        || vec![0; scrape.strings.len()],
        |at, scratch| {
            let (number, column) = columns[at];
            (at, shape(&values(scrape, &scrape.families[number], column, scratch)))
        },
    );
    found.sort_by_key(|(at, _)| *at);
    let mut shapes: Vec<Vec<Shape>> = scrape.families.iter().map(|_| Vec::new()).collect();
    found.into_iter().for_each(|(at, shape)| shapes[columns[at].0].push(shape));
    shapes
}

fn histograms(scrape: &Scrape, wanted: &Wanted) -> Vec<(usize, Buckets)> {
    let mut found =
        on_threads(scrape.families.len(), || (), |number, ()| (number, buckets(&scrape.families[number], &scrape.strings, wanted)));
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().filter_map(|(number, buckets)| Some((number, buckets?))).collect()
}

fn without(scrape: &Scrape, top: usize) -> Vec<Without> {
    // Big families first, so that none of them begins when all others are done.
    let mut order: Vec<usize> = (0..scrape.families.len()).collect();
    order.sort_by_key(|family| std::cmp::Reverse(scrape.families[*family].children()));
    let family = |number: usize| -> &Family { &scrape.families[order[number]] };
    let mut plans: Vec<(usize, Plan<'_>)> =
        on_threads(order.len(), || Scratch::new(&scrape.strings), |number, scratch| (number, plan(family(number), top, scratch)));
    plans.sort_by_key(|(number, _)| *number);
    let plans: Vec<Plan<'_>> = plans.into_iter().map(|(_, plan)| plan).collect();

    let jobs: Vec<(usize, usize)> =
        plans.iter().enumerate().flat_map(|(number, plan)| (0..plan.jobs()).map(move |job| (number, job))).collect();
    let counted = on_threads(jobs.len(), Workspace::default, |at, workspace| {
        let (number, job) = jobs[at];
        (number, plans[number].run(job, workspace))
    });
    let mut of_plan: Vec<Vec<Counted>> = plans.iter().map(|_| Vec::new()).collect();
    counted.into_iter().for_each(|(number, counted)| of_plan[number].push(counted));

    let mut all = on_threads(order.len(), Workspace::default, |at, workspace| (order[at], plans[at].finish(&of_plan[at], workspace)));
    all.sort_by_key(|(family, _)| *family);
    all.into_iter().map(|(_, without)| without).collect()
}

/// Does `count` pieces of work, each thread with a state of its own. The results are in no particular order.
fn on_threads<S, R: Send>(count: usize, state: impl Fn() -> S + Sync, work: impl Fn(usize, &mut S) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS).min(count);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    let run = || {
        let (mut state, mut own) = (state(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            own.push(work(number, &mut state));
        }
        done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).append(&mut own);
    };
    thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(run)));
        run();
    });
    done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}
