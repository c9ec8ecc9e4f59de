//! Is a snapshot whole? Digest, meta pages, page tree and every record.

mod at;
mod beside;
mod carried;
mod changes;
mod contents;
mod crc_join;
mod entries;
mod fast;
mod findings;
mod fingerprint;
mod hashes;
mod key_leaf;
mod large;
mod leases;
mod look;
mod once;
mod passing;
mod records;
mod rounds;
mod stream;
mod touched;
#[cfg(test)]
mod ways;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

#[cfg(feature = "client")]
pub(crate) use at::Compactions;
pub(crate) use at::{Asked, At};
pub(crate) use carried::{Carried, Carry, look_while_copied};
pub(crate) use changes::{fingerprint_of, shape_of};
pub use contents::{BucketContents, Contents, LargeRecord};
pub(crate) use entries::Entries;
pub(crate) use findings::{Findings, examine_metas, proven};
pub(crate) use fingerprint::Fingerprints;
#[cfg(any(fuzzing, test))]
pub(crate) use look::all_ways;
pub(crate) use look::{Looked, Wants, hash, look};
#[cfg(feature = "stream")]
pub(crate) use passing::PassingCheck;
pub(crate) use rounds::Rounds;
pub use stream::{StreamReport, verify_stream};
pub(crate) use touched::{AsItIs, split};

use crate::io::ReadAt;
use crate::observe::{Event, Observer, Phase, Silent, tell};
use crate::{Digest, Error, ErrorKind, Problem, ProblemCode, Result, Severity, Snapshot};

/// How to verify.
#[derive(Clone)]
pub struct VerifyOptions {
    max_problems: usize,
    observer: Arc<dyn Observer>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            max_problems: 100,
            observer: Arc::new(Silent),
        }
    }
}

impl VerifyOptions {
    /// How many problems the report lists; the rest is counted. 100 unless told.
    #[must_use]
    pub fn with_max_problems(mut self, max_problems: usize) -> Self {
        self.max_problems = max_problems;
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

impl std::fmt::Debug for VerifyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("max_problems", &self.max_problems)
            .finish_non_exhaustive()
    }
}

/// What the bytes of the database say to the digest behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DigestCheck {
    /// They are the ones the digest was made of.
    Matches {
        /// The SHA-256 of the database.
        digest: Digest,
    },
    /// They are not.
    Mismatch {
        /// What the file says.
        expected: Digest,
        /// What its bytes give.
        found: Digest,
    },
    /// The file has no digest, as every raw copy of a database.
    Missing {
        /// What its bytes give.
        found: Digest,
    },
}

/// How far a proof goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProofKind {
    /// The digest, every page, how they hang together, and every record.
    Full,
    /// The digest, the meta pages, and every page by itself: all that shows while a snapshot passes, page after page.
    Stream,
}

impl DigestCheck {
    pub(crate) fn of(expected: Option<Digest>, found: Digest) -> Self {
        match expected {
            None => Self::Missing { found },
            Some(digest) if digest == found => Self::Matches { digest },
            Some(expected) => Self::Mismatch { expected, found },
        }
    }

    /// A mismatch as a problem.
    pub(crate) fn problem(&self) -> Option<Problem> {
        let Self::Mismatch { expected, found } = self else {
            return None;
        };
        Some(Problem::damaged(
            ProblemCode::DigestMismatch,
            format!(
                "the bytes are not the ones that were saved: their SHA-256 is {found}, the digest at the end says {expected}"
            ),
        ))
    }
}

/// What a verification found. [`into_proven`](Self::into_proven) turns it into a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use = "a report can hold problems: look at it, or call into_proven"]
#[non_exhaustive]
pub struct VerifyReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// [`ProofKind::Full`].
    pub proof: ProofKind,
    /// The file.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub path: Option<PathBuf>,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Bytes of a page.
    pub page_size_bytes: u32,
    /// Digest against bytes.
    pub digest: DigestCheck,
    /// What the database holds.
    pub contents: Contents,
    /// Every problem found, the first ones up to the bound that was asked for.
    pub problems: Vec<Problem>,
    /// Problems beyond that bound.
    pub more_problems: u64,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

impl VerifyReport {
    /// No damage was found. Says nothing of the digest: a raw copy of a database has none.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.worst() < Some(Severity::Damaged)
    }

    /// The worst of the problems.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        findings::worst(&self.problems)
    }

    /// The proof, if the snapshot is whole and its digest says so.
    ///
    /// # Errors
    /// `DigestMismatch` or `Damaged`, with the first problems in the sentence; `NoDigest` where nothing is damaged and
    /// nothing proves that the bytes are the ones a server sent.
    pub fn into_proven(self) -> Result<Proof> {
        let name = self.path.as_ref().map_or_else(
            || "the snapshot".to_owned(),
            |path| path.display().to_string(),
        );
        findings::proven(&name, &self.digest, &self.problems, self.more_problems).map(|digest| {
            Proof {
                digest,
                contents: self.contents,
            }
        })
    }
}

/// That a file is a backup: its digest matches, and every page and record is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// The SHA-256 of the database.
    pub digest: Digest,
    /// What the database holds.
    pub contents: Contents,
}

/// Reads the whole snapshot: compares the digest, checks meta pages and page tree by bbolt's rules and what bbolt trusts
/// beside, and decodes every record.
///
/// Problems are in the report. The file is only read. Blocks for about as long as reading it takes; memory stays within a
/// few megabytes at any size of the file.
///
/// # Errors
/// Where the file cannot be read, or the observer asked to stop.
pub fn verify(snapshot: &Snapshot, options: &VerifyOptions) -> Result<VerifyReport> {
    let started = Instant::now();
    let observer = options.observer.as_ref();

    let mut findings = Findings::new(options.max_problems);
    let wants = Wants {
        digest: true,
        ..Wants::default()
    };
    let looked = look(snapshot, wants, &mut findings, observer)?;
    let digest = compare(snapshot.digest(), looked.digest)?;
    if let Some(problem) = digest.problem() {
        findings.first(problem);
    }

    let (problems, more_problems) = findings.into_parts();
    Ok(VerifyReport {
        schema: 1,
        proof: ProofKind::Full,
        path: snapshot.path().map(ToOwned::to_owned),
        size_bytes: snapshot.size_bytes(),
        page_size_bytes: snapshot.page_size_bytes(),
        digest,
        contents: looked.contents,
        problems,
        more_problems,
        duration_ms: crate::milliseconds(started),
    })
}

/// `found` was asked for, so it is there.
fn compare(expected: Option<Digest>, found: Option<Digest>) -> Result<DigestCheck> {
    let found = found.ok_or_else(|| Error::new(ErrorKind::Io, "the digest was not computed"))?;
    Ok(DigestCheck::of(expected, found))
}

/// One phase: reads `total_bytes` from the front in pieces of a megabyte, and tells of it.
pub(crate) fn read_in_order(
    source: &dyn ReadAt,
    total_bytes: u64,
    name: &str,
    phase: Phase,
    observer: &dyn Observer,
    mut each: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    const PIECE: usize = 1 << 20;
    tell(observer, &Event::Started(phase))?;
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while at < total_bytes {
        let wanted = usize::try_from(total_bytes.saturating_sub(at))
            .unwrap_or(PIECE)
            .min(PIECE);
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        let n = source.read_at(piece, at).map_err(|e| {
            Error::new(ErrorKind::Io, format!("cannot read {name} at byte {at}"))
                .with_offset(at)
                .with_source(e)
        })?;
        let end = at.saturating_add(n as u64);
        if n < wanted {
            let message = format!("{name} became shorter while it was read: it ends at byte {end}");
            return Err(Error::new(ErrorKind::Io, message).with_offset(at));
        }
        each(at, piece)?;
        at = end;
        tell(
            observer,
            &Event::Progress {
                phase,
                done_bytes: at,
                total_bytes,
            },
        )?;
    }
    Ok(())
}
