//! The rules of the snapshot stream (formats.md 3.1), held against every message.

use crate::stream::Chunk;
use crate::{Digest, Error, ErrorKind, Result};

/// Every page size is a multiple of it, and so every database.
const SECTOR: u64 = 512;

/// How far a stream has come.
#[derive(Debug, Default)]
pub(crate) struct Protocol {
    total: Option<u64>,
    received: u64,
    digest: Option<Digest>,
}

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Database,
    Digest,
}

impl Protocol {
    /// Takes note of the next message.
    pub(crate) fn take(&mut self, chunk: &Chunk) -> Result<Part> {
        let length = chunk.blob.len() as u64;
        let total = match self.total {
            Some(total) => total,
            None => self.begin(length, chunk.remaining_bytes)?,
        };
        let missing = total.saturating_sub(self.received);
        if missing == 0 {
            return self.end_with(chunk).map(|()| Part::Digest);
        }
        if length == 0 {
            // A server that cannot read its own database goes on with these for ever.
            return Err(self.broken(
                "the server sends empty messages instead of its database: it probably cannot read its own file; \
                 look into its log",
            ));
        }
        let Some(remaining) = missing.checked_sub(length) else {
            return Err(self
                .broken(&format!(
                    "the server sends {} bytes more than it had announced",
                    length.saturating_sub(missing)
                ))
                .with_detail("announced", total.to_string()));
        };
        if chunk.remaining_bytes != remaining {
            return Err(self
                .broken(&format!(
                    "the server's count is wrong: it says that {} bytes remain where {remaining} do",
                    chunk.remaining_bytes
                ))
                .with_detail("expected", remaining.to_string())
                .with_detail("found", chunk.remaining_bytes.to_string()));
        }
        self.received = total.saturating_sub(remaining);
        Ok(Part::Database)
    }

    /// The stream has ended without an error: that is right at one point only.
    pub(crate) fn finish(&self) -> Result<Digest> {
        match (self.total, self.digest) {
            (None, _) => Err(self.broken("the server ended the stream without a single byte")),
            (Some(total), _) if self.received < total => {
                Err(self.broken("the server ended the stream before the end of the database"))
            }
            (Some(_), None) => Err(self.broken("the server ended the stream without the digest")),
            (Some(_), Some(digest)) => Ok(digest),
        }
    }

    /// Bytes of the database so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of the database, known from the first message on.
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Where the stream is, for sentences.
    pub(crate) fn place(&self) -> String {
        match self.total {
            Some(total) => format!("at byte {} of {total}", self.received),
            None => "at byte 0".to_owned(),
        }
    }

    fn begin(&mut self, length: u64, remaining: u64) -> Result<u64> {
        let total = length
            .checked_add(remaining)
            .filter(|total| *total > 0 && total % SECTOR == 0 && i64::try_from(*total).is_ok())
            .ok_or_else(|| {
                self.broken(&format!(
                    "the server announces a database of {length} and {remaining} bytes, which no database has"
                ))
            })?;
        self.total = Some(total);
        Ok(total)
    }

    fn end_with(&mut self, chunk: &Chunk) -> Result<()> {
        if self.digest.is_some() {
            return Err(self.broken("the server sends something after the digest"));
        }
        let bytes = <[u8; Digest::LEN]>::try_from(chunk.blob.as_slice()).map_err(|_| {
            self.broken(&format!(
                "the server sends {} bytes where the digest of {} bytes belongs",
                chunk.blob.len(),
                Digest::LEN
            ))
        })?;
        if chunk.remaining_bytes != 0 {
            return Err(self.broken(&format!(
                "the server's count is wrong: it says that {} bytes remain behind the digest",
                chunk.remaining_bytes
            )));
        }
        self.digest = Some(Digest::new(bytes));
        Ok(())
    }

    fn broken(&self, what: &str) -> Error {
        Error::new(ErrorKind::Stream, format!("{what} ({})", self.place()))
            .with_offset(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Protocol};
    use crate::stream::Chunk;

    fn run(chunks: &[(usize, u64)]) -> Result<(), String> {
        let mut protocol = Protocol::default();
        for (length, remaining) in chunks {
            protocol
                .take(&Chunk::new(vec![7; *length], *remaining))
                .map_err(|e| e.to_string())?;
        }
        protocol.finish().map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn a_good_stream_is_data_and_one_digest() {
        assert_eq!(run(&[(512, 512), (512, 0), (32, 0)]), Ok(()));
        assert_eq!(run(&[(1024, 0), (32, 0)]), Ok(()));
        let mut protocol = Protocol::default();
        assert_eq!(
            protocol.take(&Chunk::new(vec![0; 512], 0)).unwrap(),
            Part::Database
        );
        assert_eq!(
            protocol.take(&Chunk::new(vec![0; 32], 0)).unwrap(),
            Part::Digest
        );
    }

    #[test]
    fn every_other_stream_is_refused_at_its_byte() {
        for (chunks, expected) in [
            (&[][..], "without a single byte (at byte 0)"),
            (&[(0, 1024)], "empty messages"),
            (&[(0, 0)], "which no database has"),
            (&[(32, 0)], "which no database has"),
            (&[(512, u64::MAX)], "which no database has"),
            (&[(512, (1 << 63) - 512)], "which no database has"),
            (
                &[(512, 512)],
                "before the end of the database (at byte 512 of 1024)",
            ),
            (&[(512, 512), (0, 512)], "empty messages"),
            (
                &[(512, 512), (512, 0)],
                "without the digest (at byte 1024 of 1024)",
            ),
            (
                &[(512, 512), (544, 0)],
                "32 bytes more than it had announced (at byte 512 of 1024)",
            ),
            (
                &[(512, 512), (256, 512)],
                "says that 512 bytes remain where 256 do",
            ),
            (
                &[(512, 512), (256, 1024)],
                "says that 1024 bytes remain where 256 do",
            ),
            (
                &[(512, 512), (256, 0)],
                "says that 0 bytes remain where 256 do",
            ),
            (&[(512, 0), (16, 0), (16, 0)], "16 bytes where the digest"),
            (&[(512, 0), (64, 0)], "64 bytes where the digest"),
            (&[(512, 0), (0, 0)], "0 bytes where the digest"),
            (&[(512, 0), (32, 32)], "32 bytes remain behind the digest"),
            (&[(512, 0), (32, 0), (32, 0)], "after the digest"),
            (&[(512, 0), (32, 0), (0, 0)], "after the digest"),
        ] {
            let error = run(chunks).unwrap_err();
            assert!(error.contains(expected), "{chunks:?}: {error}");
        }
    }
}
