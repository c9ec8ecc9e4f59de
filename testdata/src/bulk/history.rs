//! Which changes a database holds, in the order of their revisions.
//!
//! The old section is what a compaction has left: one record for each key. Everything about a record of it follows from its
//! number, so the recent section above can go on from any of its keys, and only the keys that it touches are remembered.

use std::collections::{HashMap, VecDeque};

use super::History;
use super::kinds::Kinds;
use super::seeded;
use crate::database::Random;

/// Number of a user's key. Those of the old section count from 0.
pub(super) type KeyNumber = u64;

const EPHEMERAL: KeyNumber = 1 << 38;
const CREATED_RECENTLY: KeyNumber = 1 << 39;

/// Revisions that a slot of the old section has: most went to records that the compaction took out.
const SLOT: i64 = 5;
/// The last two of a slot, for what a compaction has not taken out.
const OLDER: i64 = SLOT - 2;
const TOMBSTONE: i64 = SLOT - 1;
/// Slots that may share a transaction.
const BLOCK: u64 = 8;
/// How far behind its older copy the newest record of a key stands, and how far behind its put a tombstone.
const COPY_DISTANCE: u64 = 500;
const TOMBSTONE_DISTANCE: u64 = 300;
/// Keys that share a lease.
const KEYS_PER_LEASE: u64 = 200;

/// A record of the `key` bucket, but for the user's key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) number: KeyNumber,
    pub(super) main: i64,
    pub(super) sub: i64,
    /// `None` deletes.
    pub(super) put: Option<Put>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) create_revision: i64,
    pub(super) version: i64,
    pub(super) lease: Option<u64>,
}

/// A key as it is at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) main: i64,
    pub(super) sub: i64,
    pub(super) put: Option<Put>,
}

/// Makes the changes.
#[derive(Debug)]
pub(super) struct Timeline {
    seed: u64,
    history: History,
    kinds: &'static Kinds,
    first_revision: i64,
    /// The next slot of the old section, and in the end how many there are.
    slot: u64,
    /// From this slot on the compaction has not taken anything out.
    uncompacted_from: u64,
    ready: VecDeque<Change>,
    live: u64,
    recent: Recent,
}

#[derive(Debug)]
struct Recent {
    random: Random,
    main: i64,
    sub: i64,
    operations_left: usize,
    in_transaction: Vec<KeyNumber>,
    created: u64,
    operations: u64,
    touched: HashMap<KeyNumber, State>,
    order: Vec<KeyNumber>,
}

impl Timeline {
    pub(super) fn new(seed: u64, history: History, kinds: &'static Kinds) -> Self {
        Self {
            seed,
            history,
            kinds,
            first_revision: kinds.first_revision,
            slot: 0,
            uncompacted_from: match history {
                History::Compacted | History::Interrupted => u64::MAX,
                History::NeverCompacted => 0,
            },
            ready: VecDeque::new(),
            live: 0,
            recent: Recent {
                random: Random::new(seeded(seed, 7, 0)),
                main: 0,
                sub: 0,
                operations_left: 0,
                in_transaction: Vec::new(),
                created: 0,
                operations: 0,
                touched: HashMap::new(),
                order: Vec::new(),
            },
        }
    }

    /// The next change of the old section, which has no end of its own.
    pub(super) fn next_old(&mut self) -> Change {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return change;
            }
            self.fill_slot();
        }
    }

    /// Says that the compaction got to here.
    pub(super) fn interrupt_compaction(&mut self) {
        if self.history == History::Interrupted && self.uncompacted_from == u64::MAX {
            self.uncompacted_from = self.slot;
        }
    }

    /// Ends the old section: the newest record of every key of it is out.
    pub(super) fn end_old(&mut self) -> Option<Change> {
        let last = self.ready.pop_front();
        if last.is_none() {
            let waiting = self.slot.saturating_sub(COPY_DISTANCE)..self.slot;
            self.live += self.slot + waiting.filter(|slot| self.has_copy(*slot)).count() as u64;
            self.recent.main = self.first_revision + self.slot as i64 * SLOT;
        }
        last
    }

    /// The next change of the recent section, which has no end of its own either.
    pub(super) fn next_recent(&mut self) -> Change {
        if self.recent.operations_left == 0 {
            self.begin_transaction();
        }
        let number = self.choose_key();
        let before = self.state(number);
        let live = before.and_then(|state| state.put);
        let deletes = live.is_some() && self.recent.random.below(100) < 12;
        let (main, sub) = (self.recent.main, self.recent.sub);
        let put = (!deletes).then(|| Put {
            create_revision: live.map_or(main, |put| put.create_revision),
            version: live.map_or(1, |put| put.version + 1),
            lease: self
                .leased(number)
                .then(|| lease_of(self.slot + self.recent.operations)),
        });
        self.live = self.live + u64::from(put.is_some()) - u64::from(live.is_some());
        let recent = &mut self.recent;
        recent.sub += 1;
        recent.operations_left -= 1;
        recent.operations += 1;
        recent.in_transaction.push(number);
        let state = State { main, sub, put };
        if recent.touched.insert(number, state).is_none() {
            recent.order.push(number);
        }
        Change {
            number,
            main,
            sub,
            put,
        }
    }

    /// The compaction that the meta bucket names: what is finished, and what is scheduled.
    pub(super) fn compactions(&self) -> Option<(i64, i64)> {
        let end = self.first_revision + self.slot as i64 * SLOT;
        match self.history {
            History::Compacted => Some((end, end)),
            // Nothing of what is left over is as old as the one before.
            History::Interrupted => {
                let before = self.uncompacted_from.min(self.slot) as i64;
                Some((self.first_revision + before * SLOT - 1, end))
            }
            History::NeverCompacted => None,
        }
    }

    /// The revision of the store.
    pub(super) fn revision(&self) -> i64 {
        self.recent.main
    }

    /// Keys that are there at the end.
    pub(super) fn live_keys(&self) -> u64 {
        self.live
    }

    /// Leases that were granted, whether a key hangs on them or not.
    pub(super) fn leases(&self) -> u64 {
        lease_of(self.slot + self.recent.operations) + 1
    }

    /// Some keys that the recent section has touched, deleted ones among them, and some that it has not.
    pub(super) fn some_keys(&self) -> Vec<KeyNumber> {
        const EACH: usize = 12;
        let Recent { touched, order, .. } = &self.recent;
        let spread = order.iter().step_by(order.len() / EACH + 1);
        let deleted = order.iter().filter(|number| touched[number].put.is_none());
        let old = (0..EACH as u64).map(|n| n * self.slot / EACH as u64);
        let untouched = old.filter(|number| !touched.contains_key(number));
        let both = spread.chain(deleted.take(EACH)).copied();
        both.chain(untouched).collect()
    }

    /// What has become of a key.
    pub(super) fn state(&self, number: KeyNumber) -> Option<State> {
        let touched = self.recent.touched.get(&number).copied();
        touched.or_else(|| (number < self.slot).then(|| self.old_state(number)))
    }

    fn fill_slot(&mut self) {
        let slot = self.slot;
        self.slot += 1;
        let state = self.old_state(slot);
        self.ready.push_back(Change {
            number: slot,
            main: state.main,
            sub: state.sub,
            put: state.put,
        });
        let put = |number, main| Change {
            number,
            main,
            sub: 0,
            put: Some(Put {
                create_revision: main,
                version: 1,
                lease: None,
            }),
        };
        let begin = self.begin(slot);
        if self.has_copy(slot) {
            let number = slot + COPY_DISTANCE;
            self.ready.push_back(put(number, begin + OLDER));
        } else if self.has_ephemeral(slot) {
            self.live += 1;
            self.ready.push_back(put(EPHEMERAL | slot, begin + OLDER));
        }
        let Some(deleted) = slot.checked_sub(TOMBSTONE_DISTANCE) else {
            return;
        };
        if self.has_ephemeral(deleted) && !self.is_shared(slot) {
            self.live -= 1;
            self.ready.push_back(Change {
                number: EPHEMERAL | deleted,
                main: begin + TOMBSTONE,
                sub: 0,
                put: None,
            });
        }
    }

    fn begin(&self, slot: u64) -> i64 {
        self.first_revision + slot as i64 * SLOT
    }

    /// Whether the slot's revision is also that of its neighbours.
    fn is_shared(&self, slot: u64) -> bool {
        seeded(self.seed, 1, slot / BLOCK).is_multiple_of(32)
    }

    fn old_state(&self, slot: u64) -> State {
        let chance = seeded(self.seed, 2, slot);
        let (main, sub) = if self.is_shared(slot) {
            // Some operations of the transaction are compacted away.
            let place = (slot % BLOCK) as i64;
            let odd = (chance & 1) as i64;
            (self.begin(slot - slot % BLOCK), 2 * place + odd)
        } else {
            (self.begin(slot) + (chance % OLDER as u64) as i64, 0)
        };
        let (create_revision, version) = self.life_until(slot, main, chance >> 8);
        let lease = self.leased(slot).then(|| lease_of(slot));
        State {
            main,
            sub,
            put: Some(Put {
                create_revision,
                version,
                lease,
            }),
        }
    }

    /// When the key of a slot was created, and how often it was put since, that one included.
    fn life_until(&self, slot: u64, main: i64, chance: u64) -> (i64, i64) {
        let copy = slot
            .checked_sub(COPY_DISTANCE)
            .filter(|copy| self.has_copy(*copy));
        if let Some(copy) = copy {
            return (self.begin(copy) + OLDER, 2);
        }
        if chance & 1 == 0 || slot >= self.uncompacted_from {
            return (main, 1);
        }
        let chance = chance >> 1;
        let age = 1 + (chance % (main as u64 - 2).min(1 << 20)) as i64;
        let puts = 2 + ((chance >> 20) % (age as u64).min(200)) as i64;
        (main - age, puts)
    }

    fn has_copy(&self, slot: u64) -> bool {
        self.left_over(slot) < 4
    }

    fn has_ephemeral(&self, slot: u64) -> bool {
        self.left_over(slot) == 4
    }

    /// What an unfinished compaction left in a slot: one of 16 things, or more than that for nothing.
    fn left_over(&self, slot: u64) -> u64 {
        if slot < self.uncompacted_from || self.is_shared(slot) {
            return 16;
        }
        seeded(self.seed, 3, slot) % 16
    }

    fn leased(&self, number: KeyNumber) -> bool {
        let kind = self.kinds.of(self.seed, number);
        seeded(self.seed, 4, number) % 100 < kind.leased_percent
    }

    fn begin_transaction(&mut self) {
        let recent = &mut self.recent;
        recent.main += 1;
        recent.sub = 0;
        recent.in_transaction.clear();
        recent.operations_left = match recent.random.below(20) {
            0 => 2 + recent.random.below(5),
            _ => 1,
        };
    }

    /// A new key, one that was touched shortly before, or an old one of a kind that changes often.
    fn choose_key(&mut self) -> KeyNumber {
        let recent = &mut self.recent;
        let new = CREATED_RECENTLY | recent.created;
        let chosen = match recent.random.below(100) {
            0..12 => new,
            12..45 if !recent.order.is_empty() => {
                let place = recent.random.below(recent.order.len());
                recent.order[place]
            }
            _ => {
                let mut number = recent.random.number() % self.slot.max(1);
                for _ in 0..8 {
                    let churn = self.kinds.of(self.seed, number).churn_percent;
                    if recent.random.below(100) < churn {
                        break;
                    }
                    number = recent.random.number() % self.slot.max(1);
                }
                number
            }
        };
        // No transaction changes a key twice.
        let number = if recent.in_transaction.contains(&chosen) {
            new
        } else {
            chosen
        };
        recent.created += u64::from(number == new);
        number
    }
}

/// Every third lease has no keys.
fn lease_of(operation: u64) -> u64 {
    let used = operation / KEYS_PER_LEASE;
    used + used / 2
}
