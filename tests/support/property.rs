//! How many cases a property is tried with.

use proptest::test_runner::Config;

/// As many as are usual. `CASES_TIMES=50` tries that many times more; `PROPTEST_RNG_SEED`, which `make test` sets so that a commit always
/// meets the same cases, chooses others.
pub fn cases(usual: u32) -> Config {
    let times = std::env::var("CASES_TIMES").map_or(1, |times| times.parse().expect("CASES_TIMES is a number"));
    let usual_config = Config::default();
    Config {
        cases: usual * times,
        max_global_rejects: usual_config.max_global_rejects * times,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..usual_config
    }
}
