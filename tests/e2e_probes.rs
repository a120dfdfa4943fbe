//! The probes themselves, in a kernel: links of both kinds, events that come in order and in full.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/schedload.rs"]
mod schedload;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::time::Duration;

use goscope::probes::sites::{self, Site};
use goscope::probes::wire::Event;
use goscope::probes::{Links, Probes, Stream, Switches, Wanted};
use goscope::target::process::Process;
use goscope::target::runtime::GoProcess;
use schedload::{kind, number, start};

/// Events of one second, and what became of those that were sent.
fn second(process: &GoProcess, wanted: &Wanted) -> (Vec<Event>, Stream) {
    let probes = Probes::attach(process, wanted).unwrap();
    assert_eq!(probes.single_links(), if wanted.links == Links::Single { wanted.sites.len() } else { 0 });
    let mut stream = Stream::new(probes);
    let mut events = Vec::new();
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        stream.wait(Duration::from_millis(20));
        stream.drain(false, |event| events.push(event));
    }
    stream.stop();
    stream.drain(true, |event| events.push(event));
    (events, stream)
}

fn transitions(links: Links) {
    if !service::is_root("setting probes") {
        return;
    }
    let mut load = start("chain", &[]);
    let process = GoProcess::attach(Process::open(load.pid()).unwrap(), false).unwrap();
    let found: Vec<_> = sites::find(&process, &Site::TRANSITIONS).into_iter().map(|site| site.unwrap()).collect();
    assert_eq!(found.len(), Site::TRANSITIONS.len());
    let wanted = Wanted { sample_hz: None, switches: None, sites: found, links };
    load.begin();
    let (events, stream) = second(&process, &wanted);
    let truth = load.end();
    let of = |site| events.iter().filter(|event| matches!(event, Event::Transition(t) if t.site == site)).count() as i64;
    // Each message wakes each of the chain once.
    let rounds = number(kind(&truth, "main.chainA"), "iterations");
    assert!(rounds > 10, "{truth}");
    for site in [Site::Runqput, Site::Execute, Site::Gopark] {
        assert!(of(site) > rounds / 2, "{site:?}: {} of {rounds} rounds", of(site));
    }
    assert!(of(Site::Netpollready) > rounds / 4, "the network wakes the last of the chain");
    assert!(events.is_sorted_by_key(|event| event.head().time_ns), "events come in the order of time");
    for loss in stream.losses() {
        assert_eq!((loss.sent, loss.lost + loss.malformed + loss.in_flight()), (loss.received, 0), "{loss:?}");
    }
    assert_eq!(stream.late(), 0);
    drop(stream);
    load.fixture.assert_alive();
}

#[test]
fn one_link_has_all_sites() {
    transitions(Links::Best);
}

#[test]
fn links_of_their_own_do_the_same_on_older_kernels() {
    transitions(Links::Single);
}

#[test]
fn switches_that_are_only_counted_send_nothing() {
    if !service::is_root("setting probes") {
        return;
    }
    let mut load = start("syscalls", &["2", "5"]);
    let process = GoProcess::attach(Process::open(load.pid()).unwrap(), false).unwrap();
    let wanted = Wanted { sample_hz: None, switches: Some(Switches::Counted), sites: Vec::new(), links: Links::Best };
    let (events, stream) = second(&process, &wanted);
    assert_eq!(events, []);
    let counted = stream.counted();
    assert!(counted.switches_with_goroutine > 50, "{counted:?}");
    assert!(counted.cpu_queue.total() > 50, "{counted:?}");
    drop(stream);
    load.fixture.assert_alive();
}
