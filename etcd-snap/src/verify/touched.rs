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
#[derive(Debug)]
pub(super) struct Touched {
    newest: ByFingerprint<PackedRevision>,
    most: usize,
}

impl Touched {
    /// Room for `most` keys; memory is taken as they come.
    pub(super) fn new(most: usize) -> Self {
        Self {
            newest: HashMap::default(),
            most,
        }
    }

    /// A key was changed; in any order. `false`: there are too many keys.
    pub(super) fn touch(&mut self, key: u128, change: PackedRevision) -> bool {
        let newest = self.newest.entry(split(key)).or_insert(change);
        *newest = change.max(*newest);
        self.newest.len() <= self.most
    }

    pub(super) fn newest(&self, key: u128) -> Option<PackedRevision> {
        self.newest.get(&split(key)).copied()
    }

    pub(super) fn len(&self) -> u64 {
        self.newest.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// Keys whose newest change is no delete.
    pub(super) fn live(&self) -> u64 {
        let live = self.newest.values().filter(|newest| !newest.is_tombstone());
        live.count() as u64
    }
}
