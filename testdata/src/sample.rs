//! Long lists of cases that a usual run takes a few of, chosen by a seed, and a full run takes all of.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Set to anything: every case is run.
pub const FULL: &str = "ETCD_SNAP_TEST_FULL";
/// A number that chooses the cases of a usual run; 0 unless set.
pub const SEED: &str = "ETCD_SNAP_TEST_SEED";

/// At most `count` of the cases, chosen by the seed in [`SEED`]; all of them with [`FULL`]. Their order stays.
pub fn sample<T>(cases: impl IntoIterator<Item = T>, count: usize) -> Vec<T> {
    let seed = std::env::var(SEED).unwrap_or_default();
    let full = std::env::var_os(FULL).is_some();
    choose(cases, if full { usize::MAX } else { count }, &seed)
}

fn choose<T>(cases: impl IntoIterator<Item = T>, count: usize, seed: &str) -> Vec<T> {
    let rank = |place: usize| {
        let mut hasher = DefaultHasher::new();
        (seed, place).hash(&mut hasher);
        hasher.finish()
    };
    let mut cases: Vec<_> = cases.into_iter().enumerate().collect();
    cases.sort_by_key(|(place, _)| rank(*place));
    cases.truncate(count);
    cases.sort_by_key(|(place, _)| *place);
    cases.into_iter().map(|(_, case)| case).collect()
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn seeds_reach_every_case_and_a_seed_chooses_the_same_again() {
        assert_eq!(choose(0..9, 3, "7"), choose(0..9, 3, "7"));
        assert_eq!(choose(0..9, usize::MAX, ""), (0..9).collect::<Vec<_>>());
        let mut seen: Vec<_> = (0..40)
            .flat_map(|seed: i32| choose(0..9, 3, &seed.to_string()))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 9);
    }
}
