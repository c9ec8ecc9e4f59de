//! How many keys live, exactly, and in bounded memory.

use crate::verify::Rounds;

/// What all counts together may hold of fingerprints at a time: 25 MB.
const MOST_FINGERPRINTS: usize = 7 << 17;
/// Each has room for some.
const FEWEST_FINGERPRINTS: usize = 7 << 10;

/// A count in the making: records of the keys that are counted come in the order of revisions, and again while
/// [`next_round`](Self::next_round) says so.
pub(super) struct Count {
    rounds: Rounds,
    is_done: bool,
}

impl Count {
    /// One of so many at once.
    pub(super) fn sharing(among: usize) -> Self {
        let most = (MOST_FINGERPRINTS / among.max(1)).max(FEWEST_FINGERPRINTS);
        Self {
            rounds: Rounds::counting(most),
            is_done: false,
        }
    }

    pub(super) fn see(&mut self, fingerprint: u128, number: u64, is_delete: bool) {
        if self.is_done {
            return;
        }
        if is_delete {
            self.rounds.delete(fingerprint, number);
        } else {
            self.rounds.put(fingerprint, number, None);
        }
    }

    /// Whether the same records must come once more.
    pub(super) fn next_round(&mut self) -> bool {
        self.is_done = self.is_done || !self.rounds.next_round(|_| ());
        !self.is_done
    }

    pub(super) fn live(&self) -> u64 {
        self.rounds.live_keys()
    }
}
