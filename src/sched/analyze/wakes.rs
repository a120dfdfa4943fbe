//! Who ended the waits of goroutines: paths that begin alike, put together as trees.

use rustc_hash::FxHashMap;

use crate::sched::model::{Hop, Stack, WakePath, Waker};
use crate::target::frames;

/// Below a root stands who ended its waits, below that who ended what those had been waiting for, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// `None` in a root.
    pub waker: Option<WakerIn<'a>>,
    /// In a root, the wait that all below it is about. In a waker, what it had been waiting for itself while the one above waited; `None`
    /// when it is not known to have waited then.
    pub wait: Option<WaitIn<'a>>,
    /// Waits of the root that ended in this way, and how long they were.
    pub count: u64,
    pub ns: u64,
    /// Most time first. What is no leaf is accounted for by them without a rest.
    pub woken_by: Vec<Node<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WakerIn<'a> {
    /// In this function; `None` where its name is not known.
    Goroutine(Option<&'a str>),
    Network,
    Timer,
    /// The runtime by itself.
    Scheduler,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaitIn<'a> {
    pub function: Option<&'a str>,
    pub reason: Option<&'a str>,
}

/// Levels of a tree: more than a window has, but a recording may say anything.
const DEEPEST: usize = 16;

/// A waker, and what it had waited for; of a root, only the wait.
type Step<'a> = (Option<WakerIn<'a>>, Option<WaitIn<'a>>);

/// Most time first.
pub fn trees<'a>(paths: &'a [WakePath], stacks: &'a [Stack]) -> Vec<Node<'a>> {
    let mut all = Level::default();
    for path in paths {
        let mut level = &mut all;
        for step in steps(path, stacks).take(DEEPEST) {
            let branch = level.0.entry(step).or_default();
            branch.count = branch.count.saturating_add(path.count);
            branch.ns = branch.ns.saturating_add(path.ns);
            level = &mut branch.below;
        }
    }
    all.into_nodes()
}

/// A tree that grows.
#[derive(Default)]
struct Level<'a>(FxHashMap<Step<'a>, Branch<'a>>);

#[derive(Default)]
struct Branch<'a> {
    count: u64,
    ns: u64,
    below: Level<'a>,
}

impl<'a> Level<'a> {
    fn into_nodes(self) -> Vec<Node<'a>> {
        let node = |((waker, wait), branch): (Step<'a>, Branch<'a>)| Node {
            waker,
            wait,
            count: branch.count,
            ns: branch.ns,
            woken_by: branch.below.into_nodes(),
        };
        let mut nodes: Vec<Node<'a>> = self.0.into_iter().map(node).collect();
        nodes.sort_by_key(|node| (std::cmp::Reverse((node.ns, node.count)), node.waker, node.wait));
        nodes
    }
}

/// The wait itself, then each waker.
fn steps<'a>(path: &'a WakePath, stacks: &'a [Stack]) -> impl Iterator<Item = Step<'a>> {
    let wait = |hop: &'a Hop| WaitIn { function: function(hop.stack, stacks), reason: hop.reason.as_deref() };
    let waker = move |hop: &Hop| match hop.by {
        Waker::Goroutine(stack) => WakerIn::Goroutine(function(stack, stacks)),
        Waker::Network => WakerIn::Network,
        Waker::Timer => WakerIn::Timer,
        Waker::Scheduler => WakerIn::Scheduler,
    };
    let root = path.hops.first().map(|hop| (None, Some(wait(hop))));
    let wakers = path.hops.iter().enumerate().map(move |(i, hop)| (Some(waker(hop)), path.hops.get(i + 1).map(wait)));
    root.into_iter().chain(wakers)
}

/// Where a goroutine is, in its program's own words: not in what all goroutines wait and wake through.
fn function(stack: u32, stacks: &[Stack]) -> Option<&str> {
    const MEANS: [&str; 6] = ["sync.", "internal/sync.", "time.Sleep", "internal/poll.", "net.", "os."];
    let stack = stacks.get(stack as usize)?;
    let names = || frames::shown(stack, false).map(|frame| &*frame.function).filter(|name| !name.is_empty());
    names().find(|name| !MEANS.iter().any(|means| name.starts_with(means))).or_else(|| names().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::model::{Frame, FrameKind};

    fn stack(functions: &[&str]) -> Stack {
        let frame = |function: &&str| Frame {
            function: (*function).into(),
            file: "".into(),
            line: 1,
            address: 0,
            entry: 0,
            kind: FrameKind::Go,
            wrapper: false,
        };
        Stack { frames: functions.iter().map(frame).collect(), cut: None }
    }

    /// Where hops wait and wakers are, by number.
    fn stacks() -> Vec<Stack> {
        vec![
            stack(&["runtime.gopark", "runtime.chanrecv", "main.last", "main.run"]),
            stack(&["runtime.gopark", "runtime.chanrecv", "main.middle", "main.run"]),
            stack(&["runtime.ready", "runtime.send", "main.middle", "main.run"]),
            stack(&["runtime.ready", "runtime.send", "main.other"]),
            stack(&["runtime.gopark", "runtime.chanrecv", "main.last", "main.otherRun"]),
        ]
    }

    fn path(hops: &[(u32, &str, Waker)], count: u64, ns: u64) -> WakePath {
        let hop = |&(stack, reason, by): &(u32, &str, Waker)| Hop { stack, reason: Some(reason.into()), by };
        WakePath { hops: hops.iter().map(hop).collect(), count, ns }
    }

    /// `waker wait count ns`, indented by depth.
    fn written(nodes: &[Node<'_>]) -> Vec<String> {
        let mut lines = Vec::new();
        write(nodes, 0, &mut lines);
        lines
    }

    fn write(nodes: &[Node<'_>], depth: usize, into: &mut Vec<String>) {
        for node in nodes {
            let waker = node.waker.map(|waker| match waker {
                WakerIn::Goroutine(function) => function.unwrap_or("?"),
                WakerIn::Network => "network",
                WakerIn::Timer => "timer",
                WakerIn::Scheduler => "scheduler",
            });
            let wait = node.wait.map(|wait| format!("{}:{}", wait.function.unwrap_or("?"), wait.reason.unwrap_or("?")));
            let words = [waker.map(str::to_owned), wait, Some(format!("{} {}", node.count, node.ns))];
            into.push(format!("{:depth$}{}", "", words.into_iter().flatten().collect::<Vec<_>>().join(" ")));
            write(&node.woken_by, depth + 1, into);
        }
    }

    fn of(paths: &[WakePath]) -> Vec<String> {
        written(&trees(paths, &stacks()))
    }

    #[test]
    fn what_begins_alike_is_one_branch() {
        let (a, b) = ((0, "chan receive", Waker::Goroutine(2)), (1, "IO wait", Waker::Network));
        let paths = [
            path(&[a, b], 4, 400),
            path(&[a, (1, "select", Waker::Timer)], 3, 300),
            path(&[a], 2, 200),
            path(&[(0, "chan receive", Waker::Goroutine(3))], 1, 1000),
            path(&[(0, "sleep", Waker::Timer)], 5, 50),
        ];
        assert_eq!(
            of(&paths),
            [
                "main.last:chan receive 10 1900",
                " main.other 1 1000",
                " main.middle main.middle:IO wait 4 400",
                "  network 4 400",
                " main.middle main.middle:select 3 300",
                "  timer 3 300",
                " main.middle 2 200",
                "main.last:sleep 5 50",
                " timer 5 50",
            ]
        );
    }

    #[test]
    fn callers_and_lines_make_no_difference() {
        let paths = [path(&[(0, "chan receive", Waker::Scheduler)], 1, 10), path(&[(4, "chan receive", Waker::Scheduler)], 2, 20)];
        assert_eq!(of(&paths), ["main.last:chan receive 3 30", " scheduler 3 30"]);
    }

    #[test]
    fn a_lock_is_waited_for_by_its_user() {
        let stacks = [
            stack(&["runtime.gopark", "sync.runtime_SemacquireMutex", "internal/sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "main.put"]),
            stack(&["runtime.ready", "sync.runtime_Semrelease", "sync.(*Mutex).Unlock", "main.get"]),
            stack(&["runtime.gopark", "sync.(*WaitGroup).Wait"]),
        ];
        let paths =
            [path(&[(0, "sync.Mutex.Lock", Waker::Goroutine(1))], 1, 10), path(&[(2, "sync.WaitGroup.Wait", Waker::Goroutine(9))], 1, 5)];
        let lines = written(&trees(&paths, &stacks));
        assert_eq!(lines, ["main.put:sync.Mutex.Lock 1 10", " main.get 1 10", "sync.(*WaitGroup).Wait:sync.WaitGroup.Wait 1 5", " ? 1 5",]);
    }

    /// Whoever is no leaf is accounted for by what stands below.
    fn assert_whole(nodes: &[Node<'_>]) {
        for node in nodes.iter().filter(|node| !node.woken_by.is_empty()) {
            let sum = node.woken_by.iter().fold((0, 0), |(count, ns), below| (count + below.count, ns + below.ns));
            assert_eq!(sum, (node.count, node.ns), "{node:?}");
            assert_whole(&node.woken_by);
        }
    }

    #[test]
    fn nothing_is_lost_on_the_way_up_and_no_path_is_too_long() {
        let reasons = ["chan receive", "select", "sleep"];
        let wakers = [Waker::Goroutine(2), Waker::Goroutine(3), Waker::Network, Waker::Timer];
        let hop = |n: usize| (n as u32 % 5, reasons[n / 5 % 3], wakers[n / 3 % 4]);
        let paths: Vec<WakePath> = (0..2000)
            .map(|n| path(&(0..n % 5).map(|depth| hop(n * 7 + depth * 11)).collect::<Vec<_>>(), n as u64, n as u64 * 13))
            .chain([path(&vec![hop(1); 100_000], 1, 1), path(&[], 5, 5)])
            .collect();
        let stacks = stacks();
        let roots = trees(&paths, &stacks);
        assert_whole(&roots);
        let with_hops: u64 = paths.iter().filter(|path| !path.hops.is_empty()).map(|path| path.count).sum();
        assert_eq!(roots.iter().map(|root| root.count).sum::<u64>(), with_hops);
        assert!(roots.windows(2).all(|pair| pair[0].ns >= pair[1].ns));
    }
}
