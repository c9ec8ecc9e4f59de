//! Some of the keys that live, each with the same chance, in bounded memory.
//!
//! Which keys live is known only at the end, so the sample is drawn among all that were ever put: the fingerprints of keys are random
//! numbers, and those with the smallest ones are held with their newest record. Where too few of them live, the next ones are looked at in another round.

use std::collections::BTreeMap;

use crate::backend::RevisionKey;

/// Keys held at a time: 6 MB.
const MOST_HELD: usize = 1 << 16;
/// Then the sample is as large as it is.
const MOST_ROUNDS: u32 = 8;

/// A sample in the making; records come in the order of revisions.
pub(super) struct Sample {
    wanted: usize,
    most_held: usize,
    rounds: u32,
    /// Keys with smaller fingerprints have had their round; `None`: all have.
    from: Option<u128>,
    /// By fingerprint, the newest record of each key.
    held: BTreeMap<u128, RevisionKey>,
    records: Vec<RevisionKey>,
}

impl Sample {
    pub(super) fn of(wanted: usize) -> Self {
        Self::holding(wanted, MOST_HELD)
    }

    fn holding(wanted: usize, most_held: usize) -> Self {
        Self {
            wanted,
            most_held,
            rounds: 0,
            from: (wanted > 0).then_some(0),
            held: BTreeMap::new(),
            records: Vec::new(),
        }
    }

    pub(super) fn see(&mut self, fingerprint: u128, record: RevisionKey) {
        if self.from.is_none_or(|from| fingerprint < from) {
            return;
        }
        if let Some(newest) = self.held.get_mut(&fingerprint) {
            *newest = record;
            return;
        }
        if self.held.len() >= self.most_held {
            match self.held.last_key_value() {
                Some((largest, _)) if fingerprint < *largest => {
                    // It cannot come back: the largest that is held only becomes smaller.
                    self.held.pop_last();
                }
                _ => return,
            }
        }
        self.held.insert(fingerprint, record);
    }

    /// Whether the same records must come once more.
    pub(super) fn next_round(&mut self) -> bool {
        if self.from.is_none() {
            return false;
        }
        self.rounds = self.rounds.saturating_add(1);
        let live = self.held.values().filter(|newest| !newest.tombstone);
        let missing = self.wanted.saturating_sub(self.records.len());
        self.records.extend(live.take(missing));
        let is_full = self.held.len() >= self.most_held;
        let last = self.held.last_key_value().map(|(last, _)| *last);
        self.held.clear();
        self.from = match last {
            Some(last) if is_full && self.rounds < MOST_ROUNDS => last.checked_add(1),
            _ => None,
        };
        if self.records.len() >= self.wanted {
            self.from = None;
        }
        self.from.is_some()
    }

    pub(super) fn into_records(self) -> Vec<RevisionKey> {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Revision;

    fn record(main: i64, tombstone: bool) -> RevisionKey {
        RevisionKey {
            main: Revision::new(main),
            sub: 0,
            tombstone,
        }
    }

    proptest! {
        #[test]
        fn the_sample_has_the_newest_records_of_keys_that_live(
            history in proptest::collection::vec((0_u128..40, any::<bool>()), 0..200),
            wanted in 0_usize..50,
        ) {
            let mut newest = BTreeMap::new();
            for (number, (key, put)) in history.iter().enumerate() {
                newest.insert(*key, record(number as i64, !put));
            }
            let live: Vec<_> = newest.into_values().filter(|record| !record.tombstone).collect();
            // Eight rounds of five pass all forty.
            let mut sample = Sample::holding(wanted, 5);
            loop {
                for (number, (key, put)) in history.iter().enumerate() {
                    sample.see(*key, record(number as i64, !put));
                }
                if !sample.next_round() {
                    break;
                }
            }
            let drawn = sample.into_records();
            prop_assert_eq!(drawn.len(), wanted.min(live.len()));
            prop_assert!(drawn.iter().all(|record| live.contains(record)));
        }
    }
}
