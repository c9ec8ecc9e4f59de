//! A key, to those who only ask whether two are the same.

use std::hash::{BuildHasher, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Makes fingerprints of 128 bits. Seeded anew in every run, so nobody can make two keys collide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprints(SipHasher13);

impl Fingerprints {
    pub(crate) fn new() -> Self {
        // The standard library's way to ask for a seed.
        let [first, second] = [0, 1].map(|_| RandomState::new().build_hasher().finish());
        Self(SipHasher13::new_with_keys(first, second))
    }

    pub(crate) fn begin(&self) -> Fingerprint {
        Fingerprint(self.0)
    }

    /// Of a key in one piece.
    pub(crate) fn of(&self, key: &[u8]) -> u128 {
        self.0.hash(key).as_u128()
    }
}

/// A fingerprint in the making.
pub(crate) struct Fingerprint(SipHasher13);

impl Fingerprint {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(crate) fn finish(&self) -> u128 {
        self.0.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprints;

    #[test]
    fn pieces_make_no_difference_and_the_seed_does() {
        let fingerprints = Fingerprints::new();
        let mut pieces = fingerprints.begin();
        for piece in [b"/registry/".as_slice(), b"", b"pods/default/a"] {
            pieces.update(piece);
        }
        let whole = b"/registry/pods/default/a";
        assert_eq!(pieces.finish(), fingerprints.of(whole));
        assert_ne!(Fingerprints::new().of(whole), fingerprints.of(whole));
    }
}
