//! The hashes of the `key` bucket from those of its leaves.

use std::ops::Range;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use super::crc_join::Joiner;

/// Leaves that are worth a thread.
const LEAVES_OF_A_THREAD: usize = 50_000;

/// A CRC, and how many bytes it is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) crc: u32,
    pub(super) bytes: u64,
}

impl Part {
    fn then(self, next: Self, joiner: &mut Joiner) -> Self {
        Self {
            crc: joiner.join(self.crc, next.crc, next.bytes),
            bytes: self.bytes.saturating_add(next.bytes),
        }
    }
}

/// The CRC of the records of each leaf, and how many bytes it is of.
pub(super) struct Hashes {
    crcs: Vec<AtomicU32>,
    /// [`Self::LONG`]: too many for these, they are among the long ones.
    bytes: Vec<AtomicU16>,
}

/// Lists by leaf, in their order.
#[derive(Debug, Default)]
pub(super) struct Exceptions {
    /// Leaves with very many bytes.
    pub(super) long: Vec<(usize, u64)>,
    /// What counts for HashKV of leaves that do not count whole.
    pub(super) in_part: Vec<(usize, Part)>,
}

impl Exceptions {
    pub(super) fn extend(&mut self, other: Self) {
        self.long.extend(other.long);
        self.in_part.extend(other.in_part);
    }

    pub(super) fn sort(&mut self) {
        self.long.sort_unstable_by_key(|(leaf, _)| *leaf);
        self.in_part.sort_unstable_by_key(|(leaf, _)| *leaf);
    }
}

/// All records of some leaves, and those that count for HashKV.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) all: Part,
    pub(super) counting: Part,
}

impl Hashes {
    const LONG: u16 = u16::MAX;

    pub(super) fn new(leaves: usize) -> Self {
        Self {
            crcs: (0..leaves).map(|_| AtomicU32::new(0)).collect(),
            bytes: (0..leaves).map(|_| AtomicU16::new(0)).collect(),
        }
    }

    pub(super) fn set(&self, leaf: usize, part: Part, exceptions: &mut Exceptions) {
        let (Some(crc), Some(bytes)) = (self.crcs.get(leaf), self.bytes.get(leaf)) else {
            return;
        };
        crc.store(part.crc, Ordering::Relaxed);
        let short = u16::try_from(part.bytes).unwrap_or(Self::LONG);
        bytes.store(short, Ordering::Relaxed);
        if short == Self::LONG {
            exceptions.long.push((leaf, part.bytes));
        }
    }

    /// All leaves, in the order of keys, on so many threads at most.
    pub(super) fn join(&self, exceptions: &Exceptions, threads: usize) -> Joined {
        let leaves = self.crcs.len();
        let step = leaves.div_ceil(threads.max(1)).max(LEAVES_OF_A_THREAD);
        let mut ranges = (0..leaves)
            .step_by(step)
            .map(|from| from..from.saturating_add(step).min(leaves));
        let first = ranges.next().unwrap_or_default();
        std::thread::scope(|scope| {
            let others: Vec<_> = ranges
                .map(|range| scope.spawn(move || self.join_some(exceptions, range)))
                .collect();
            let mut joiner = Joiner::new();
            let mut joined = self.join_some(exceptions, first);
            for other in others {
                let next = other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                joined.all = joined.all.then(next.all, &mut joiner);
                joined.counting = joined.counting.then(next.counting, &mut joiner);
            }
            joined
        })
    }

    fn join_some(&self, exceptions: &Exceptions, range: Range<usize>) -> Joined {
        fn from<T>(list: &[(usize, T)], leaf: usize) -> std::slice::Iter<'_, (usize, T)> {
            let at = list.partition_point(|(other, _)| *other < leaf);
            list.get(at..).unwrap_or_default().iter()
        }
        let mut joiner = Joiner::new();
        let mut long = from(&exceptions.long, range.start);
        let mut in_part = from(&exceptions.in_part, range.start).peekable();
        let mut joined = Joined::default();
        // As long as all records count, one hash is both.
        let mut is_one = true;
        let leaves = self.crcs.iter().zip(&self.bytes).enumerate();
        for (leaf, (crc, bytes)) in leaves.skip(range.start).take(range.len()) {
            let part = Part {
                crc: crc.load(Ordering::Relaxed),
                bytes: match bytes.load(Ordering::Relaxed) {
                    Self::LONG => long.next().map_or(0, |(_, bytes)| *bytes),
                    short => u64::from(short),
                },
            };
            let exception = in_part.next_if(|(other, _)| *other == leaf);
            if exception.is_some() && is_one {
                is_one = false;
                joined.counting = joined.all;
            }
            joined.all = joined.all.then(part, &mut joiner);
            if !is_one {
                let counts = exception.map_or(part, |(_, counts)| *counts);
                joined.counting = joined.counting.then(counts, &mut joiner);
            }
        }
        if is_one {
            joined.counting = joined.all;
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(bytes: &[u8]) -> Part {
        Part {
            crc: crc32c::crc32c(bytes),
            bytes: bytes.len() as u64,
        }
    }

    proptest! {
        #[test]
        fn the_hash_of_all_leaves_is_that_of_their_bytes(
            leaves in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), 0_u8..4), 1..60),
            split in any::<prop::sample::Index>(),
        ) {
            let hashes = Hashes::new(leaves.len());
            let mut exceptions = Exceptions::default();
            let (mut all, mut counting) = (Vec::new(), Vec::new());
            for (leaf, (bytes, kind)) in leaves.iter().enumerate() {
                let counts = if *kind == 0 { &bytes[..bytes.len() / 2] } else { bytes };
                hashes.set(leaf, part(bytes), &mut exceptions);
                if *kind == 0 {
                    exceptions.in_part.push((leaf, part(counts)));
                }
                all.extend_from_slice(bytes);
                counting.extend_from_slice(counts);
            }
            let expected = Joined { all: part(&all), counting: part(&counting) };
            prop_assert_eq!(hashes.join(&exceptions, 4), expected);
            let at = split.index(leaves.len());
            let mut joiner = Joiner::new();
            let first = hashes.join_some(&exceptions, 0..at);
            let second = hashes.join_some(&exceptions, at..leaves.len());
            prop_assert_eq!(first.all.then(second.all, &mut joiner), expected.all);
            prop_assert_eq!(first.counting.then(second.counting, &mut joiner), expected.counting);
        }
    }

    #[test]
    fn leaves_of_any_length_and_of_many_threads_are_joined() {
        let hashes = Hashes::new(3 * LEAVES_OF_A_THREAD);
        let mut exceptions = Exceptions::default();
        let mut crc = 0;
        let large = vec![7; 70_000];
        for leaf in 0..3 * LEAVES_OF_A_THREAD {
            let small = leaf.to_le_bytes();
            let bytes = if leaf % 20_000 == 1 {
                large.as_slice()
            } else {
                &small
            };
            hashes.set(leaf, part(bytes), &mut exceptions);
            crc = crc32c::crc32c_append(crc, bytes);
        }
        assert_eq!(exceptions.long.len(), 8);
        let joined = hashes.join(&exceptions, 3);
        assert_eq!((joined.all.crc, joined.counting), (crc, joined.all));
    }
}
