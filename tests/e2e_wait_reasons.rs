//! The wait reason texts that goscope falls back on are those that each runtime carries itself.

mod common;

use common::fixture::{Fixture, path};
use goscope::target::process::Process;
use goscope::target::runtime::GoProcess;
use goscope::target::wait_reasons;

#[test]
fn the_table_by_version_equals_the_targets_own() {
    let versions =
        ["1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.14", "1.26.11", "1.27.4"];
    for version in versions {
        let mut fixture = Fixture::start(path(version, "static", "sw", "zoo"), &[], &[]);
        let process = GoProcess::attach(Process::open(fixture.pid()).unwrap(), false).unwrap();
        // Number 0 is no reason; goscope names it by its number.
        let own: Vec<&str> = process.runtime.wait_reasons.iter().skip(1).map(|text| &**text).collect();
        let table: Vec<&str> = wait_reasons::list(process.version).skip(1).collect();
        assert_eq!(own, table, "{version}");
        fixture.assert_alive();
    }
}
