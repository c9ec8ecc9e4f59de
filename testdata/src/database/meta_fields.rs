//! The fields of a meta page (formats.md 1.2).

use super::{MAGIC, VERSION, fnv1a};

/// The fields of a meta page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaFields {
    /// Makes it a bbolt file.
    pub magic: u32,
    /// Of the format.
    pub version: u32,
    /// Bytes of a page.
    pub page_size: u32,
    /// Never used.
    pub flags: u32,
    /// Page of the root bucket.
    pub root: u64,
    /// Of the root bucket; etcd does not use it.
    pub sequence: u64,
    /// Page of the freelist, or all ones.
    pub freelist: u64,
    /// The first page that was never used.
    pub high_water_mark: u64,
    /// The transaction that wrote it.
    pub transaction_id: u64,
}

impl Default for MetaFields {
    fn default() -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            page_size: 4096,
            flags: 0,
            root: 0,
            sequence: 0,
            freelist: super::NO_FREELIST,
            high_water_mark: 0,
            transaction_id: 0,
        }
    }
}

impl MetaFields {
    pub(crate) const LEN: usize = 64;

    /// The bytes behind the page header, with the right checksum.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = Vec::new();
        for field in [self.magic, self.version, self.page_size, self.flags] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [
            self.root,
            self.sequence,
            self.freelist,
            self.high_water_mark,
            self.transaction_id,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&fnv1a(&out).to_le_bytes());
        out.try_into().expect("64 bytes")
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let small = |at: usize| u32::from_le_bytes(bytes[at..][..4].try_into().expect("four"));
        let large = |at: usize| u64::from_le_bytes(bytes[at..][..8].try_into().expect("eight"));
        Self {
            magic: small(0),
            version: small(4),
            page_size: small(8),
            flags: small(12),
            root: large(16),
            sequence: large(24),
            freelist: large(32),
            high_water_mark: large(40),
            transaction_id: large(48),
        }
    }
}
