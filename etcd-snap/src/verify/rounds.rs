//! Which record of each key is the newest, exactly, in bounded memory, whatever the history looks like.
//!
//! A map of keys would grow with the database. So keys are fingerprints, and when their map outgrows its bound, half of the
//! key space is put off to a further round over the records, as often as needed.

use super::fingerprint::Fingerprints;
use super::touched::{ByFingerprint, split};
use crate::Problem;

/// Fingerprints held at a time: what a hash table of 2^20 places takes before it grows. That is 25 MiB, and half of that more
/// for the moments in which it grows.
const MOST_FINGERPRINTS: usize = (1 << 20) / 8 * 7;
/// Records that can be told apart by number: 32 MiB of bits.
const MOST_RECORDS: u64 = 1 << 28;
/// Suspicions held at a time.
const MOST_SUSPICIONS: usize = 10_000;

/// The fingerprints whose lowest `bits` are `pattern`.
#[derive(Debug, Clone, Copy)]
struct Part {
    bits: u32,
    pattern: u128,
}

impl Part {
    const ALL: Self = Self {
        bits: 0,
        pattern: 0,
    };

    fn contains(self, fingerprint: u128) -> bool {
        let mask = 1_u128.checked_shl(self.bits).unwrap_or(0).wrapping_sub(1);
        fingerprint & mask == self.pattern
    }

    fn halves(self) -> [Self; 2] {
        let bits = self.bits.saturating_add(1);
        [
            Self {
                bits,
                pattern: self.pattern,
            },
            Self {
                bits,
                pattern: self.pattern | 1 << self.bits,
            },
        ]
    }
}

/// The keys that live, each with the number of its newest record.
pub(crate) struct Rounds {
    fingerprints: Fingerprints,
    most: usize,
    part: Part,
    live: ByFingerprint<u32>,
    put_off: Vec<Part>,
    counted: u64,
    /// A bit a record: not the newest of its key, or a delete.
    obsolete: Vec<u64>,
    any_obsolete: bool,
    /// Whether anybody will ask which records are obsolete.
    marks: bool,
    records: u64,
    /// What is wrong with a record if it is the newest of its key.
    suspicions: Vec<([u64; 2], u32, Problem)>,
}

impl Rounds {
    pub(super) fn new() -> Self {
        Self::with_bound(MOST_FINGERPRINTS)
    }

    /// For who only wants to know how many keys live; so many fingerprints are held at a time.
    pub(crate) fn counting(most: usize) -> Self {
        Self {
            marks: false,
            ..Self::with_bound(most)
        }
    }

    fn with_bound(most: usize) -> Self {
        Self {
            fingerprints: Fingerprints::new(),
            most,
            part: Part::ALL,
            live: ByFingerprint::default(),
            put_off: Vec::new(),
            counted: 0,
            obsolete: Vec::new(),
            any_obsolete: false,
            marks: true,
            records: 0,
            suspicions: Vec::new(),
        }
    }

    pub(super) fn fingerprints(&self) -> &Fingerprints {
        &self.fingerprints
    }

    /// Record `number` writes a key; records come in the order of their numbers.
    pub(crate) fn put(&mut self, key: u128, number: u64, suspicion: Option<Problem>) {
        let number = self.number(number);
        let place = split(key);
        if !self.part.contains(key) {
            return;
        }
        if let Some(newest) = self.live.get_mut(&place) {
            let older = std::mem::replace(newest, number);
            self.mark(older);
        } else {
            while self.is_full() {
                let [kept, put_off] = self.part.halves();
                self.put_off.push(put_off);
                self.part = kept;
                self.live.retain(|[low, high], _| {
                    kept.contains(u128::from(*low) | u128::from(*high) << 64)
                });
            }
            if !self.part.contains(key) {
                return;
            }
            self.live.insert(place, number);
        }
        if let Some(problem) = suspicion
            && self.suspicions.len() < MOST_SUSPICIONS
        {
            self.suspicions.push((place, number, problem));
        }
    }

    /// Record `number` deletes a key.
    pub(crate) fn delete(&mut self, key: u128, number: u64) {
        let number = self.number(number);
        if !self.part.contains(key) {
            return;
        }
        if let Some(older) = self.live.remove(&split(key)) {
            self.mark(older);
        }
        self.mark(number);
    }

    fn number(&mut self, number: u64) -> u32 {
        self.records = self.records.max(number.saturating_add(1));
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    fn mark(&mut self, number: u32) {
        if !self.marks || u64::from(number) >= MOST_RECORDS {
            return;
        }
        let word = (number >> 6) as usize;
        if self.obsolete.len() <= word {
            self.obsolete.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.obsolete.get_mut(word) {
            *word |= 1 << (number & 63);
            self.any_obsolete = true;
        }
    }

    /// The next insertion, be it of a key that is there, would double a table that is as large as it may get. Deleted keys
    /// use up the room of a table too; at less than half of it they are cleared away instead.
    fn is_full(&self) -> bool {
        self.live.len() == self.live.capacity() && self.live.len() >= self.most.div_ceil(2)
    }

    /// Ends a round; the suspicions that came true are told. `true`: the same records must be gone through once more.
    pub(crate) fn next_round(&mut self, mut tell: impl FnMut(Problem)) -> bool {
        self.counted = self.counted.saturating_add(self.live.len() as u64);
        for (key, number, problem) in self.suspicions.drain(..) {
            if self.live.get(&key) == Some(&number) {
                tell(problem);
            }
        }
        self.live.clear();
        match self.put_off.pop() {
            Some(part) => {
                self.part = part;
                true
            }
            None => false,
        }
    }

    /// Keys that live, after the last round.
    pub(crate) fn live_keys(&self) -> u64 {
        self.counted
    }

    /// Whether any record is obsolete, after the last round. `None`: there are too many records to tell which.
    pub(super) fn any_obsolete(&self) -> Option<bool> {
        (self.records <= MOST_RECORDS).then_some(self.any_obsolete)
    }

    /// Whether a record is not the newest of its key, or a delete, after the last round.
    pub(super) fn is_obsolete(&self, number: u64) -> bool {
        let word = usize::try_from(number >> 6).ok();
        word.and_then(|word| self.obsolete.get(word))
            .is_some_and(|word| word >> (number & 63) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounds_over_parts_say_what_one_big_map_says(
            history in proptest::collection::vec((0_u16..300, any::<bool>()), 0..600),
            bound in 1_usize..40,
        ) {
            let mut model = HashMap::new();
            let mut obsolete = vec![false; history.len()];
            for (number, (key, put)) in history.iter().enumerate() {
                let older = if *put { model.insert(*key, number) } else { model.remove(key) };
                if let Some(older) = older {
                    obsolete[older] = true;
                }
                obsolete[number] = !put;
            }
            let mut rounds = Rounds::with_bound(bound);
            loop {
                for (number, (key, put)) in history.iter().enumerate() {
                    let key = rounds.fingerprints().of(&key.to_be_bytes());
                    if *put { rounds.put(key, number as u64, None) } else { rounds.delete(key, number as u64) }
                }
                if !rounds.next_round(|_| ()) {
                    break;
                }
            }
            prop_assert_eq!(rounds.live_keys(), model.len() as u64);
            prop_assert_eq!(rounds.any_obsolete(), Some(obsolete.contains(&true)));
            for (number, obsolete) in obsolete.into_iter().enumerate() {
                prop_assert_eq!(rounds.is_obsolete(number as u64), obsolete);
            }
        }
    }

    #[test]
    fn the_table_never_outgrows_its_bound() {
        const MOST: usize = (1 << 9) / 8 * 7;
        let mut rounds = Rounds::with_bound(MOST);
        for number in 0..100_000_u64 {
            let key =
                |number: u64, rounds: &Rounds| rounds.fingerprints().of(&number.to_be_bytes());
            rounds.put(key(number, &rounds), number, None);
            // Deleted and put again, in the middle of a table that is nearly full.
            let older = key(number / 2, &rounds);
            rounds.delete(older, number);
            if number % 3 == 0 {
                rounds.put(older, number, None);
            }
            assert!(rounds.live.capacity() <= MOST);
        }
        assert!(rounds.next_round(|_| ()));
    }
}
