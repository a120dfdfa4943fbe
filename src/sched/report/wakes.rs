//! Who ended the waits, as trees for people.

use std::time::Duration;

use crate::output::{Align, Table, duration};
use crate::sched::analyze::wakes::{Node, WaitIn, WakerIn};

/// One line for each wait and each waker; of all that stand side by side, the first `limit`.
pub fn table(roots: &[Node<'_>], limit: usize) -> Table {
    let mut table =
        Table::new(&[("BLOCKED", Align::Right), ("TIMES", Align::Right), ("WHO WAITED (WHY), BELOW IT WHO ENDED THE WAIT", Align::Name)]);
    for root in roots.iter().take(limit) {
        row(&mut table, root.ns, root.count, text(root));
        wakers(&mut table, &root.woken_by, limit, "");
    }
    if roots.len() > limit && limit > 0 {
        rest(&mut table, &roots[limit..], "");
    }
    table
}

fn wakers(table: &mut Table, nodes: &[Node<'_>], limit: usize, indent: &str) {
    let shown = nodes.len().min(limit);
    for (number, node) in nodes[..shown].iter().enumerate() {
        let last = number + 1 == nodes.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        row(table, node.ns, node.count, format!("{indent}{branch}{}", text(node)));
        wakers(table, &node.woken_by, limit, &format!("{indent}{below}"));
    }
    if nodes.len() > shown {
        rest(table, &nodes[shown..], &format!("{indent}└─ "));
    }
}

fn rest(table: &mut Table, nodes: &[Node<'_>], begin: &str) {
    let sum = |of: fn(&Node<'_>) -> u64| nodes.iter().map(of).fold(0, u64::saturating_add);
    row(table, sum(|node| node.ns), sum(|node| node.count), format!("{begin}... {} more", nodes.len()));
}

fn row(table: &mut Table, ns: u64, times: u64, text: String) {
    table.row([duration(Duration::from_nanos(ns)), times.to_string(), text]);
}

/// `main.receive (chan receive)`; of a waker without a wait of its own, only who it is.
fn text(node: &Node<'_>) -> String {
    let who = match node.waker {
        None => None,
        Some(WakerIn::Goroutine(function)) => Some(named(function)),
        Some(WakerIn::Network) => Some("the network"),
        Some(WakerIn::Timer) => Some("a timer"),
        Some(WakerIn::Scheduler) => Some("the runtime"),
    };
    let wait = node.wait.map(|WaitIn { function, reason }| (named(function), reason.unwrap_or("not known")));
    match (who, wait) {
        (Some(who), Some((place, reason))) if who != place => format!("{who} ({reason} in {place})"),
        (_, Some((place, reason))) => format!("{place} ({reason})"),
        (who, None) => who.unwrap_or("[unknown]").to_owned(),
    }
}

fn named(function: Option<&str>) -> &str {
    function.unwrap_or("[unknown]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;

    fn node<'a>(waker: Option<WakerIn<'a>>, wait: Option<(&'a str, &'a str)>, ns: u64, woken_by: Vec<Node<'a>>) -> Node<'a> {
        let wait = wait.map(|(function, reason)| WaitIn { function: Some(function), reason: Some(reason) });
        Node { waker, wait, count: ns / 10, ns, woken_by }
    }

    fn lines(roots: &[Node<'_>], limit: usize, width: Option<u16>) -> Vec<String> {
        let mut out = Vec::new();
        table(roots, limit).write_to(&mut out, Style { color: false, width }).unwrap();
        String::from_utf8(out).unwrap().lines().skip(1).map(str::to_owned).collect()
    }

    fn roots() -> Vec<Node<'static>> {
        let goroutine = |function| Some(WakerIn::Goroutine(Some(function)));
        let network = || node(Some(WakerIn::Network), None, 40, Vec::new());
        vec![
            node(
                None,
                Some(("main.last", "chan receive")),
                90,
                vec![
                    node(goroutine("main.middle"), Some(("main.middle", "IO wait")), 40, vec![network()]),
                    node(goroutine("main.put"), Some(("main.get", "select")), 30, vec![node(Some(WakerIn::Timer), None, 30, Vec::new())]),
                    node(goroutine("main.other"), None, 20, Vec::new()),
                ],
            ),
            node(None, Some(("main.sleep", "sleep")), 50, vec![node(Some(WakerIn::Timer), None, 50, Vec::new())]),
        ]
    }

    #[test]
    fn a_waker_stands_below_the_wait_that_it_ended() {
        assert_eq!(
            lines(&roots(), 5, None),
            [
                "   90ns      9  main.last (chan receive)",
                "   40ns      4  ├─ main.middle (IO wait)",
                "   40ns      4  │  └─ the network",
                "   30ns      3  ├─ main.put (select in main.get)",
                "   30ns      3  │  └─ a timer",
                "   20ns      2  └─ main.other",
                "   50ns      5  main.sleep (sleep)",
                "   50ns      5  └─ a timer",
            ]
        );
    }

    #[test]
    fn what_is_not_shown_is_summed_up() {
        assert_eq!(
            lines(&roots(), 1, None),
            [
                "   90ns      9  main.last (chan receive)",
                "   40ns      4  ├─ main.middle (IO wait)",
                "   40ns      4  │  └─ the network",
                "   50ns      5  └─ ... 2 more",
                "   50ns      5  ... 1 more",
            ]
        );
        assert!(lines(&roots(), 0, None).is_empty());
    }

    #[test]
    fn a_narrow_terminal_keeps_the_branches_and_the_reasons() {
        assert_eq!(lines(&roots(), 1, Some(32))[..2], ["   90ns      9  main.las…eceive)", "   40ns      4  ├─ main.…O wait)"]);
    }
}
