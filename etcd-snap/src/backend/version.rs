//! Versions of what is stored, as etcd writes them into `meta`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::meta_key;
use crate::Error;

/// The version of etcd that a data directory is laid out for: its minor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageVersion {
    major: u64,
    minor: u64,
    patch: u64,
}

impl StorageVersion {
    /// Says nothing of its version, and has no term.
    pub const V3_4: Self = Self::new(3, 4);
    /// The oldest that there is a way to: it says nothing of its version.
    pub const V3_5: Self = Self::new(3, 5);
    /// The first that says which it is.
    pub const V3_6: Self = Self::new(3, 6);
    /// The newest that is known.
    pub const V3_7: Self = Self::new(3, 7);

    /// The first of a minor.
    #[must_use]
    pub const fn new(major: u64, minor: u64) -> Self {
        Self {
            major,
            minor,
            patch: 0,
        }
    }

    /// `3` of 3.6.
    #[must_use]
    pub const fn major(self) -> u64 {
        self.major
    }

    /// `6` of 3.6.
    #[must_use]
    pub const fn minor(self) -> u64 {
        self.minor
    }

    /// What the `meta` bucket says, or 3.5 where it has a term, which older ones do not (`schema.DetectSchemaVersion`).
    pub(crate) fn detect(settings: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Self> {
        let stored = settings.get(meta_key::STORAGE_VERSION);
        let stored = stored.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let has_term = settings.contains_key(meta_key::CONSISTENT_INDEX)
            && settings
                .get(meta_key::TERM)
                .is_some_and(|term| term.iter().any(|byte| *byte != 0));
        stored.or(has_term.then_some(Self::V3_5))
    }

    pub(crate) const fn trimmed(self) -> Self {
        Self::new(self.major, self.minor)
    }

    pub(crate) fn next(self) -> Self {
        Self::new(self.major, self.minor.saturating_add(1))
    }

    pub(crate) fn previous(self) -> Self {
        Self::new(self.major, self.minor.saturating_sub(1))
    }
}

impl fmt::Display for StorageVersion {
    /// `3.6.0`, as it is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for StorageVersion {
    type Err = Error;

    /// Reads `3.6` and `3.6.0`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.split('.').map(|part| {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| is_number)
        });
        match [parts.next(), parts.next(), parts.next(), parts.next()] {
            [Some(Some(major)), Some(Some(minor)), patch, None] => {
                let patch = patch.unwrap_or(Some(0));
                patch.map(|patch| Self {
                    major,
                    minor,
                    patch,
                })
            }
            _ => None,
        }
        .ok_or_else(|| Error::invalid(format!("{text:?} is no version: write it as 3.6")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_they_are_stored_and_typed() {
        for (text, version) in [("3.6", "3.6.0"), ("3.6.0", "3.6.0"), ("3.10.2", "3.10.2")] {
            assert_eq!(text.parse::<StorageVersion>().unwrap().to_string(), version);
        }
        for text in [
            "",
            "3",
            "3.",
            "3.6.",
            "3.6.0.1",
            "3.+6",
            "v3.6",
            "3.6-rc",
            "3.99999999999999999999",
        ] {
            assert!(text.parse::<StorageVersion>().is_err(), "{text}");
        }
        assert!(StorageVersion::new(3, 10) > StorageVersion::V3_7);
    }
}
