//! What attaching and detaching does to a target under load. Alone in its file, for files are tested one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/schedload.rs"]
mod schedload;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;
#[path = "support/text.rs"]
mod text;

use std::time::Duration;

use goscope::sched::collect::{self, Options};
use goscope::sched::model::Tier;
use harm::{assert_unharmed, attach};
use schedload::{number, start};
use text::assert_untouched;

/// The slowest hundredth of the requests that were made since it was asked last; none may have failed.
fn p99(client: &mut schedload::Load) -> i64 {
    let asked = client.end();
    let requests = &asked["extras"]["requests"];
    assert_eq!(number(requests, "failed"), 0, "{requests}");
    assert!(number(requests, "answered") > 0, "{requests}");
    number(requests, "p99_ns")
}

fn median(mut of: Vec<i64>) -> i64 {
    of.sort_unstable();
    of[of.len() / 2]
}

/// The median over many short windows: what else happens on this machine hits some of each kind, and whatever attaching does to requests hits
/// all of one kind.
#[test]
fn a_hundred_times_attached_and_detached_under_load_a_target_answers_as_ever() {
    if !service::is_root("setting probes") {
        return;
    }
    let mut server = start("server", &[]);
    let address = server.fixture.preamble[0].strip_prefix("listening ").unwrap().to_owned();
    let mut client = start("client", &[&address, "500", "8"]);
    let process = attach(server.pid()).unwrap();
    let mut sleeper = start("sleepers", &["4", "20"]);
    let another = attach(sleeper.pid()).unwrap();
    let look = |tier| Options { tier, hz: 97, switch_stacks: true, length: Some(Duration::from_millis(20)), timeline: false };
    client.begin();
    let (mut alone, mut looked_at) = (Vec::new(), Vec::new());
    for round in 0..100 {
        let tier = if round % 2 == 0 { Tier::Transitions } else { Tier::Switches };
        let window = collect::window(&process, &look(tier), None, &mut || false).unwrap();
        assert!(window.samples > 0 || window.quality.sent() > 0, "{tier:?}: {:?}", window.quality);
        looked_at.push(p99(&mut client));
        // What it is compared with: the same is done to somebody else, so that loading and reading take their CPU in both.
        collect::window(&another, &look(tier), None, &mut || false).unwrap();
        alone.push(p99(&mut client));
    }
    let (alone, looked_at) = (median(alone), median(looked_at));

    assert!(looked_at <= 2 * alone, "p99 {looked_at} ns while attached and detached, {alone} ns while another is");
    assert_untouched(server.pid());
    assert_unharmed(&mut server.fixture);
    assert_unharmed(&mut sleeper.fixture);
}
