//! The messages of one snapshot stream, good or bad.

use tonic::{Code, Status};

use super::{DIGEST, Server};
use crate::generated::etcdserverpb::SnapshotResponse;

/// How a server misbehaves. Offsets are bytes of the database.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Ends the stream well after so many bytes.
    EndAfter(usize),
    /// Ends the stream well after the database, without the digest.
    NoDigest,
    /// Resets the TCP connection after so many bytes.
    ResetAfter(usize),
    /// Says nothing more after so many bytes.
    SilentAfter(usize),
    /// Sends empty messages for ever after so many bytes, as etcd does when it cannot read its database.
    EmptyAfter(usize),
    /// Answers with this code and text after so many bytes; with 0 bytes it is the only answer.
    ErrorAfter(usize, Code, String),
    /// Says that so many bytes more (or less) remain than do.
    RemainingOff(i64),
    /// Says with each message that one byte more remains.
    RemainingGrows,
    /// Sends a digest with one bit flipped.
    WrongDigest,
    /// Sends the digest twice.
    DoubledDigest,
    /// Sends the digest in two messages.
    SplitDigest,
    /// Sends the digest in one message with the end of the database.
    GluedDigest,
    /// Sends only so many bytes of the digest.
    ShortDigest(usize),
    /// Flips the lowest bit of this byte of the database on its way; the digest is that of the good bytes.
    FlipByte(usize),
}

/// What happens next.
pub(super) enum Step {
    Message(SnapshotResponse),
    /// One and the same message, for ever.
    Repeat(SnapshotResponse),
    Error(Status),
    Silence,
    HangUp,
}

/// All that one stream does. Messages are made one by one: a snapshot can be large.
pub(super) fn steps(server: &Server) -> impl Iterator<Item = Step> + Send + 'static + use<> {
    let database_bytes = server.snapshot.len() - DIGEST;
    let cut = server.faults.iter().find_map(|fault| match fault {
        Fault::EndAfter(bytes) => Some((*bytes, None)),
        Fault::ResetAfter(bytes) => Some((*bytes, Some(Step::HangUp))),
        Fault::SilentAfter(bytes) => Some((*bytes, Some(Step::Silence))),
        Fault::EmptyAfter(bytes) => {
            let remaining = database_bytes.saturating_sub(*bytes) as u64;
            Some((*bytes, Some(Step::Repeat(message(Vec::new(), remaining)))))
        }
        Fault::ErrorAfter(bytes, code, text) => {
            Some((*bytes, Some(Step::Error(Status::new(*code, text.clone())))))
        }
        _ => None,
    });
    let end = cut
        .as_ref()
        .map_or(database_bytes, |(bytes, _)| (*bytes).min(database_bytes));
    let data = database(server, database_bytes, end);
    let rest = match cut {
        Some((_, step)) => step.into_iter().collect(),
        None => digest(server),
    };
    data.chain(rest)
}

fn database(
    server: &Server,
    database_bytes: usize,
    end: usize,
) -> impl Iterator<Item = Step> + Send + 'static + use<> {
    let snapshot = server.snapshot.clone();
    let faults = server.faults.clone();
    let chunk_bytes = server.chunk_bytes;
    (0..end)
        .step_by(chunk_bytes)
        .enumerate()
        .map(move |(n, from)| {
            let to = (from + chunk_bytes).min(end);
            let mut blob = snapshot[from..to].to_vec();
            let mut remaining = (database_bytes - to) as u64;
            for fault in &faults {
                match fault {
                    Fault::RemainingOff(by) => remaining = remaining.saturating_add_signed(*by),
                    Fault::RemainingGrows => remaining = (database_bytes + n) as u64,
                    Fault::FlipByte(at) if (from..to).contains(at) => blob[at - from] ^= 1,
                    Fault::GluedDigest if to == database_bytes => {
                        blob.extend_from_slice(&snapshot[database_bytes..]);
                    }
                    _ => {}
                }
            }
            Step::Message(message(blob, remaining))
        })
}

fn digest(server: &Server) -> Vec<Step> {
    let digest = &server.snapshot[server.snapshot.len() - DIGEST..];
    let send = |bytes: &[u8]| Step::Message(message(bytes.to_vec(), 0));
    for fault in &server.faults {
        match fault {
            Fault::NoDigest | Fault::GluedDigest => return Vec::new(),
            Fault::WrongDigest => {
                let mut wrong = digest.to_vec();
                wrong[0] ^= 1;
                return vec![send(&wrong)];
            }
            Fault::DoubledDigest => return vec![send(digest), send(digest)],
            Fault::SplitDigest => return vec![send(&digest[..16]), send(&digest[16..])],
            Fault::ShortDigest(bytes) => return vec![send(&digest[..*bytes])],
            _ => {}
        }
    }
    vec![send(digest)]
}

fn message(blob: Vec<u8>, remaining_bytes: u64) -> SnapshotResponse {
    SnapshotResponse {
        header: None,
        remaining_bytes,
        blob,
        version: String::new(),
    }
}
