//! The keys that were touched above some revision, each with its newest change: what decides whether an older record counts.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::backend::PackedRevision;

/// A map from fingerprints, which are hashes already.
pub(super) type ByFingerprint<V> = HashMap<[u64; 2], V, BuildHasherDefault<AsItIs>>;

pub(super) fn split(fingerprint: u128) -> [u64; 2] {
    [fingerprint as u64, (fingerprint >> 64) as u64]
}

/// Takes the last word as the hash.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some((_, last)) = bytes.split_last_chunk() {
            self.0 = u64::from_ne_bytes(*last);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

/// Keys and their newest changes, up to a number of keys.
#[derive(Debug, Default)]
pub(super) struct Touched {
    newest: ByFingerprint<PackedRevision>,
    /// A bit for some of the bits of each key: most keys are not in the map, and this is small enough to say so at once.
    hints: Vec<u64>,
}

impl Touched {
    /// A bit each: few enough to stay in the cache of a core.
    const HINTS: usize = 1 << 21;

    /// A key was changed; in any order.
    pub(super) fn touch(&mut self, key: u128, change: PackedRevision) {
        let newest = self.newest.entry(split(key)).or_insert(change);
        *newest = change.max(*newest);
    }

    /// All together, ready to be asked.
    pub(super) fn sum(parts: Vec<Self>) -> Self {
        let mut sum = parts
            .into_iter()
            .reduce(|mut sum, other| {
                for ([low, high], change) in other.newest {
                    sum.touch(u128::from(low) | u128::from(high) << 64, change);
                }
                sum
            })
            .unwrap_or_default();
        if !sum.newest.is_empty() {
            sum.hints = vec![0; Self::HINTS / 64];
        }
        for [low, _] in sum.newest.keys() {
            let (word, bit) = Self::hint(*low);
            if let Some(word) = sum.hints.get_mut(word) {
                *word |= bit;
            }
        }
        sum
    }

    fn hint(low: u64) -> (usize, u64) {
        let place = low as usize & (Self::HINTS - 1);
        (place / 64, 1 << (place % 64))
    }

    /// `false`: surely not in it.
    pub(super) fn may_have(&self, key: u128) -> bool {
        let (word, bit) = Self::hint(key as u64);
        self.hints.get(word).is_some_and(|hint| hint & bit != 0)
    }

    pub(super) fn newest(&self, key: u128) -> Option<PackedRevision> {
        self.newest.get(&split(key)).copied()
    }

    pub(super) fn len(&self) -> u64 {
        self.newest.len() as u64
    }

    /// Keys whose newest change is no delete.
    pub(super) fn live(&self) -> u64 {
        let live = self.newest.values().filter(|newest| !newest.is_tombstone());
        live.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Revision;
    use crate::backend::RevisionKey;

    proptest! {
        #[test]
        fn the_newest_change_of_each_key_is_known(
            changes in proptest::collection::vec((0_u8..20, 1_i64..1000, any::<bool>(), any::<bool>()), 0..100),
        ) {
            let mut parts = vec![Touched::default(), Touched::default()];
            let mut model = std::collections::BTreeMap::new();
            for (key, main, tombstone, part) in changes {
                let change = RevisionKey { main: Revision::new(main), sub: 0, tombstone }.packed().unwrap();
                let key = u128::from(key) * ((1 << 64) | 7);
                parts[usize::from(part)].touch(key, change);
                let newest = model.entry(key).or_insert(change);
                *newest = change.max(*newest);
            }
            let touched = Touched::sum(parts);
            prop_assert_eq!(touched.len(), model.len() as u64);
            prop_assert_eq!(touched.newest(u128::MAX), None);
            for (key, newest) in &model {
                prop_assert!(touched.may_have(*key));
                prop_assert_eq!(touched.newest(*key), Some(*newest));
            }
            let live = model.values().filter(|newest| !newest.is_tombstone()).count();
            prop_assert_eq!(touched.live(), live as u64);
        }
    }
}
