//! What holds for every database and for every damage: random ones, compared with a naive model.
//!
//! The sample is small and the same in every run; `PROPTEST_CASES` asks for more, and for other ones each time.

mod databases;
mod defrag;
mod harm;
mod hash_kv;
mod hostile;
mod keys;
mod leases;
mod sound;
mod stream;

use proptest::test_runner::{Config, RngSeed};

/// So many cases, unless the environment says otherwise.
pub(crate) fn sample(cases: u32) -> Config {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
        config.rng_seed = RngSeed::Fixed(20_260_801);
    }
    config
}
