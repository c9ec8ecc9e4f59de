//! A key, to those who only ask whether two are the same.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes fingerprints of 128 bits. Seeded anew in every run, so nobody can make two keys collide.
#[derive(Debug, Clone)]
pub(super) struct Fingerprints([RandomState; 2]);

impl Fingerprints {
    pub(super) fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    pub(super) fn begin(&self) -> Fingerprint<impl Hasher + use<>> {
        let [first, second] = &self.0;
        Fingerprint(first.build_hasher(), second.build_hasher())
    }

    /// Of a key in one piece.
    pub(super) fn of(&self, key: &[u8]) -> u128 {
        let mut fingerprint = self.begin();
        fingerprint.update(key);
        fingerprint.finish()
    }
}

/// A fingerprint in the making.
pub(super) struct Fingerprint<H: Hasher>(H, H);

impl<H: Hasher> Fingerprint<H> {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    pub(super) fn finish(&self) -> u128 {
        u128::from(self.0.finish()) << 64 | u128::from(self.1.finish())
    }
}
