//! Does any key come twice? A question to as many keys as the memory holds, from several threads at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::touched::{ByFingerprint, split};

/// A line of the processor's cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Group([AtomicU32; 16]);

/// Fingerprints in groups; 32 bits of one are kept, and its group stands for the others.
///
/// Two keys are taken for one in one of 2^(32 + bits of the group) cases. Then somebody looks closer, and nothing else happens.
#[derive(Debug)]
pub(super) struct Once {
    groups: Vec<Group>,
    /// Those whose group is full: some in a thousand, where the number of keys was foreseen.
    others: Mutex<ByFingerprint<()>>,
    /// One key in so many is looked at.
    sampled: u64,
}

impl Once {
    /// That is two megabytes.
    const MOST_OTHERS: usize = 1 << 16;

    /// For about this many keys, in at most so much memory. Where they do not fit, a sample of them is looked at: keys that
    /// come twice all come twice there too.
    pub(super) fn new(keys: u64, most_bytes: u64) -> Self {
        const KEYS_IN_A_GROUP: u64 = 10;
        let bytes = size_of::<Group>() as u64;
        let wanted = keys.div_ceil(KEYS_IN_A_GROUP).max(1);
        let most = most_bytes.checked_div(bytes).unwrap_or_default().max(1);
        let groups = wanted.min(most);
        Self {
            groups: (0..groups).map(|_| Group::default()).collect(),
            others: Mutex::default(),
            sampled: wanted.div_ceil(groups),
        }
    }

    /// `false`: one of these keys, or one that looks like it, has come before. Many keys in one call, so that the processor can
    /// wait for several places of the table at a time.
    pub(super) fn come(&self, fingerprints: impl Iterator<Item = u128>) -> bool {
        fingerprints.fold(true, |first_time, key| first_time & self.comes(key))
    }

    fn comes(&self, fingerprint: u128) -> bool {
        let high = (fingerprint >> 64) as u64;
        if self.sampled > 1 && ((fingerprint as u64) >> 4).checked_rem(self.sampled) != Some(0) {
            return true;
        }
        let groups = self.groups.len() as u64;
        let group = (u128::from(high).saturating_mul(u128::from(groups)) >> 64) as usize;
        // 0 stands for a free place.
        let kept = ((fingerprint >> 32) as u32).max(1);
        let Some(Group(places)) = self.groups.get(group) else {
            return true;
        };
        // From anywhere in the group, so that most keys find their place at the first try.
        let (behind, ahead) = places.split_at(fingerprint as usize & 15);
        for place in ahead.iter().chain(behind) {
            match place.load(Ordering::Relaxed) {
                // Without a lock, which would keep the processor from going ahead: of two threads that take one place in the
                // same moment one forgets its key, which is not held against a second one then.
                0 => {
                    place.store(kept, Ordering::Relaxed);
                    return true;
                }
                there if there == kept => return false,
                _ => {}
            }
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() >= Self::MOST_OTHERS {
            // Those that are known are a sample too.
            return !others.contains_key(&split(fingerprint));
        }
        others.insert(split(fingerprint), ()).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::Once;
    use crate::verify::fingerprint::Fingerprints;

    #[test]
    fn a_key_that_comes_twice_is_noticed_and_no_other() {
        let fingerprints = Fingerprints::new();
        let of = |n: u32| fingerprints.of(&n.to_be_bytes());
        // As many as there is room for, and three times as many.
        for expected in [3000, 1000] {
            let once = Once::new(expected, u64::MAX);
            assert!((0..3000).all(|n| once.comes(of(n))));
            assert!((0..3000).all(|n| !once.comes(of(n))));
        }
    }

    /// The number of keys is a guess, and a file may have been made to mislead it.
    #[test]
    fn far_more_keys_than_were_expected_take_no_more_memory() {
        let fingerprints = Fingerprints::new();
        let once = Once::new(1000, u64::MAX);
        let all = (0..300_000_u32).map(|n| fingerprints.of(&n.to_be_bytes()));
        assert!(once.come(all));
        let others = once.others.lock().unwrap();
        assert!(
            others.capacity() <= 2 * Once::MOST_OTHERS,
            "{}",
            others.len()
        );
        drop(others);
        assert!(!once.comes(fingerprints.of(&7_u32.to_be_bytes())));
    }

    #[test]
    fn where_memory_is_short_a_sample_is_looked_at() {
        let fingerprints = Fingerprints::new();
        let once = Once::new(10_000, 16_384);
        let all: Vec<_> = (0..10_000_u32)
            .map(|n| fingerprints.of(&n.to_be_bytes()))
            .collect();
        assert!(all.iter().all(|key| once.comes(*key)));
        let noticed = all.iter().filter(|key| !once.comes(**key)).count();
        assert!((1000..5000).contains(&noticed), "{noticed}");
    }
}
