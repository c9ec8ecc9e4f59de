//! The keys that were touched above some revision, each with its newest change: what decides whether an older record counts.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map from fingerprints, which are hashes already.
pub(super) type ByFingerprint<V> = HashMap<[u64; 2], V, BuildHasherDefault<AsItIs>>;

pub(crate) fn split(fingerprint: u128) -> [u64; 2] {
    [fingerprint as u64, (fingerprint >> 64) as u64]
}

/// Takes the last word as the hash.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct AsItIs(u64);

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

/// Where a change stands among those above the compaction, in the order of revisions, and whether it is a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32);

impl Place {
    /// Records of a leaf that have numbers: a page of 64 KiB has fewer.
    const RECORDS: usize = 1 << 11;

    /// By the number of the leaf and that of the record in it.
    pub(super) fn in_leaf(leaf: usize, record: usize, is_tombstone: bool) -> Option<Self> {
        let number = leaf.checked_mul(Self::RECORDS)?.checked_add(record)?;
        let number = u64::try_from(number).ok()?;
        Self::nth(number, is_tombstone).filter(|_| record < Self::RECORDS)
    }

    /// By the number of the record alone.
    pub(super) fn nth(number: u64, is_tombstone: bool) -> Option<Self> {
        let number = u32::try_from(number).ok()?.checked_mul(2)?;
        Some(Self(number | u32::from(is_tombstone)))
    }

    fn is_tombstone(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A key, by 96 bits of its fingerprint, and one of its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: [u32; 3],
    place: Place,
}

impl Entry {
    fn key(fingerprint: u128) -> [u32; 3] {
        [96, 64, 32].map(|shift| (fingerprint >> shift) as u32)
    }
}

/// Changes, as they come.
#[derive(Debug, Default)]
pub(super) struct Touching(Vec<Entry>);

impl Touching {
    /// What a change takes; a key takes no more.
    pub(super) const BYTES: u64 = size_of::<Entry>() as u64;
    /// Memory is taken in steps, not doubled.
    const STEP: usize = 1 << 16;

    /// A key was changed; in any order.
    pub(super) fn touch(&mut self, key: u128, place: Place) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(Self::STEP);
        }
        self.0.push(Entry {
            key: Entry::key(key),
            place,
        });
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Keys and their newest changes.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// In the order of keys.
    newest: Vec<Entry>,
    /// For each first half of a key's first word: where its entries begin. One more at the end.
    begins: Vec<u32>,
    /// A bit for some of the bits of each key: most keys are not among these, and this is small enough to say so at once.
    hints: Vec<u64>,
}

impl Touched {
    const HALF: u32 = 16;
    /// Bits for each key, and the most bits: they should stay in the cache of a core.
    const HINTS_OF_A_KEY: usize = 16;
    const MOST_HINTS: usize = 1 << 23;

    /// All together, ready to be asked.
    pub(super) fn sum(parts: Vec<Touching>) -> Self {
        let mut parts = parts.into_iter();
        let mut newest = parts.next().unwrap_or_default().0;
        for Touching(part) in parts {
            newest.reserve_exact(part.len());
            newest.extend(part);
        }
        newest.sort_unstable();
        // Of each key the last is the newest.
        newest.reverse();
        newest.dedup_by_key(|entry| entry.key);
        newest.reverse();
        newest.shrink_to_fit();

        let mut begins = vec![0_u32; (1 << Self::HALF) + 1];
        for [first, ..] in newest.iter().map(|entry| entry.key) {
            let half = (first >> Self::HALF) as usize;
            if let Some(count) = begins.get_mut(half.saturating_add(1)) {
                *count = count.saturating_add(1);
            }
        }
        let mut sum = 0_u32;
        for count in &mut begins {
            sum = sum.saturating_add(*count);
            *count = sum;
        }

        let bits = newest.len().saturating_mul(Self::HINTS_OF_A_KEY);
        let bits = bits.next_power_of_two().clamp(64, Self::MOST_HINTS);
        let mut touched = Self {
            newest: Vec::new(),
            begins,
            hints: vec![0; if newest.is_empty() { 0 } else { bits / 64 }],
        };
        for entry in &newest {
            let (word, bit) = touched.hint(entry.key);
            if let Some(word) = touched.hints.get_mut(word) {
                *word |= bit;
            }
        }
        touched.newest = newest;
        touched
    }

    fn hint(&self, [_, _, last]: [u32; 3]) -> (usize, u64) {
        let bits = self.hints.len().saturating_mul(64);
        let place = last as usize & bits.saturating_sub(1);
        (place / 64, 1 << (place % 64))
    }

    /// `false`: surely not in it.
    pub(super) fn may_have(&self, key: u128) -> bool {
        let (word, bit) = self.hint(Entry::key(key));
        self.hints.get(word).is_some_and(|hint| hint & bit != 0)
    }

    pub(super) fn newest(&self, key: u128) -> Option<Place> {
        let key = Entry::key(key);
        let half = (key[0] >> Self::HALF) as usize;
        let begin = *self.begins.get(half)? as usize;
        let end = *self.begins.get(half.saturating_add(1))? as usize;
        let entries = self.newest.get(begin..end)?;
        let found = entries.iter().find(|entry| entry.key == key)?;
        Some(found.place)
    }

    pub(super) fn len(&self) -> u64 {
        self.newest.len() as u64
    }

    /// Keys whose newest change is no delete.
    pub(super) fn live(&self) -> u64 {
        let newest = self.newest.iter();
        let live = newest.filter(|entry| !entry.place.is_tombstone());
        live.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::verify::fingerprint::Fingerprints;

    #[test]
    fn places_are_in_order_or_there_are_none() {
        let places = [(0, 0), (0, 1), (0, 2047), (1, 0), (3, 9)];
        let places = places.map(|(leaf, record)| Place::in_leaf(leaf, record, true).unwrap());
        assert!(places.is_sorted() && places[0] != places[1]);
        assert_eq!(Place::in_leaf(0, 2048, false), None);
        assert_eq!(Place::in_leaf(1 << 20, 0, false), None);
        assert_eq!(Place::in_leaf(usize::MAX, 0, false), None);
        assert!(Place::nth(7, true).unwrap() > Place::nth(7, false).unwrap());
        assert_eq!(Place::nth(1 << 31, false), None);
    }

    proptest! {
        #[test]
        fn the_newest_change_of_each_key_is_known(
            changes in proptest::collection::vec((0_u8..40, any::<bool>(), any::<bool>()), 0..200),
        ) {
            let fingerprints = Fingerprints::new();
            let key = |number: u8| fingerprints.of(&[number]);
            let mut parts = vec![Touching::default(), Touching::default()];
            let mut model = std::collections::BTreeMap::new();
            for (number, (name, is_tombstone, part)) in changes.into_iter().enumerate() {
                let place = Place::nth(number as u64, is_tombstone).unwrap();
                parts[usize::from(part)].touch(key(name), place);
                model.insert(name, place);
            }
            let touched = Touched::sum(parts);
            prop_assert_eq!(touched.len(), model.len() as u64);
            for name in 0..=u8::MAX {
                let known = model.get(&name).copied();
                prop_assert_eq!(touched.newest(key(name)), known);
                prop_assert!(known.is_none() || touched.may_have(key(name)));
            }
            let live = model.values().filter(|place| place.0 & 1 == 0).count();
            prop_assert_eq!(touched.live(), live as u64);
        }
    }
}
