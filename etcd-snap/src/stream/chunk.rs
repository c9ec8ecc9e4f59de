//! The seam between any client and the save.

use std::fmt;

/// One message of the snapshot stream (formats.md 3.1): `SnapshotResponse` of etcd's Maintenance service.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    /// Bytes of the database, or the 32 bytes of its SHA-256 in the last message.
    pub blob: Vec<u8>,
    /// Bytes of the database that come after this message; the digest does not count.
    pub remaining_bytes: u64,
    /// The storage version, like `3.6.0`; empty before etcd 3.6.
    pub version: String,
}

impl Chunk {
    /// A chunk with these bytes, before as many others.
    #[must_use]
    pub fn new(blob: Vec<u8>, remaining_bytes: u64) -> Self {
        Self {
            blob,
            remaining_bytes,
            version: String::new(),
        }
    }

    /// The same chunk, with the storage version that came with it.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("blob_bytes", &self.blob.len())
            .field("remaining_bytes", &self.remaining_bytes)
            .field("version", &self.version)
            .finish()
    }
}
