//! Counts the user keys that are not deleted, exactly, in bounded memory.
//!
//! A set of keys would grow with the database. So keys are fingerprints of 128 bits, and when their set outgrows its bound,
//! half of the key space is put off to a further round over the records, as often as needed.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Fingerprints held at a time: what a hash table of 2^19 places takes before it grows. That is 9 MiB.
const MOST_FINGERPRINTS: usize = (1 << 19) / 8 * 7;

/// A key, to those who only ask whether two are the same. Seeded anew in every run, so nobody can make two keys collide.
pub(crate) struct Fingerprint<H: Hasher>(H, H);

impl<H: Hasher> Fingerprint<H> {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn finish(&self) -> u128 {
        u128::from(self.0.finish()) << 64 | u128::from(self.1.finish())
    }
}

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

#[derive(Debug)]
pub(crate) struct LiveKeys {
    seeds: [RandomState; 2],
    most: usize,
    part: Part,
    live: HashSet<u128>,
    put_off: Vec<Part>,
    counted: u64,
}

impl LiveKeys {
    pub(crate) fn new() -> Self {
        Self::with_bound(MOST_FINGERPRINTS)
    }

    fn with_bound(most: usize) -> Self {
        Self {
            seeds: [RandomState::new(), RandomState::new()],
            most,
            part: Part::ALL,
            live: HashSet::new(),
            put_off: Vec::new(),
            counted: 0,
        }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint<impl Hasher + use<>> {
        let [first, second] = &self.seeds;
        Fingerprint(first.build_hasher(), second.build_hasher())
    }

    pub(crate) fn put<H: Hasher>(&mut self, key: &Fingerprint<H>) {
        let key = key.finish();
        if !self.part.contains(key) || (self.is_full() && self.live.contains(&key)) {
            return;
        }
        while self.is_full() {
            let [kept, put_off] = self.part.halves();
            self.put_off.push(put_off);
            self.part = kept;
            self.live.retain(|key| kept.contains(*key));
        }
        if self.part.contains(key) {
            self.live.insert(key);
        }
    }

    /// The next insertion, be it of a key that is there, would double a table that is as large as it may get. Deleted keys
    /// use up the room of a table too; at half of it or less they are cleared away instead.
    fn is_full(&self) -> bool {
        self.live.len() == self.live.capacity() && self.live.len() > self.most / 2
    }

    pub(crate) fn delete<H: Hasher>(&mut self, key: &Fingerprint<H>) {
        self.live.remove(&key.finish());
    }

    /// Ends a round. `true`: the same records must be gone through once more.
    pub(crate) fn next_round(&mut self) -> bool {
        self.counted = self.counted.saturating_add(self.live.len() as u64);
        self.live.clear();
        match self.put_off.pop() {
            Some(part) => {
                self.part = part;
                true
            }
            None => false,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounds_over_parts_count_what_one_big_set_counts(
            history in proptest::collection::vec((0_u16..300, any::<bool>()), 0..600),
            bound in 1_usize..40,
        ) {
            let mut model = HashSet::new();
            for (key, put) in &history {
                if *put { model.insert(*key); } else { model.remove(key); }
            }
            let mut live = LiveKeys::with_bound(bound);
            loop {
                for (key, put) in &history {
                    let mut fingerprint = live.fingerprint();
                    fingerprint.update(&key.to_be_bytes());
                    if *put { live.put(&fingerprint) } else { live.delete(&fingerprint) }
                }
                if !live.next_round() {
                    break;
                }
            }
            prop_assert_eq!(live.count(), model.len() as u64);
        }
    }

    #[test]
    fn the_table_never_outgrows_its_bound() {
        const MOST: usize = (1 << 9) / 8 * 7;
        let mut live = LiveKeys::with_bound(MOST);
        for number in 0..100_000_u32 {
            let fingerprint = |key: u32, live: &LiveKeys| {
                let mut fingerprint = live.fingerprint();
                fingerprint.update(&key.to_be_bytes());
                fingerprint
            };
            live.put(&fingerprint(number, &live));
            // Deleted and put again, in the middle of a table that is nearly full.
            let older = number / 2;
            live.delete(&fingerprint(older, &live));
            if number % 3 == 0 {
                live.put(&fingerprint(older, &live));
            }
            assert!(live.live.capacity() <= MOST);
        }
        assert!(live.next_round());
    }
}
