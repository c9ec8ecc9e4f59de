//! Is what comes out of a pipe a whole snapshot? One pass, in file order.

use std::io::{self, Read};
use std::ops::Range;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::passing::PassingCheck;
use super::{DigestCheck, ProofKind, VerifyOptions, findings};
use crate::bbolt::Judged;
use crate::observe::{Event, Phase, tell};
use crate::snapshot::ends_with_digest;
use crate::{Digest, Error, ErrorKind, Problem, Result, Severity};

/// What is read at once.
const BUFFER: usize = 1 << 20;
/// A piece stays in the processor's cache between hash and check.
const PIECE: usize = 64 << 10;

/// What the verification of a stream found. [`into_proven`](Self::into_proven) turns it into a verdict.
///
/// It has no contents: a stream does not show which of the pages that pass are in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use = "a report can hold problems: look at it, or call into_proven"]
#[non_exhaustive]
pub struct StreamReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// [`ProofKind::Stream`].
    pub proof: ProofKind,
    /// What stands for the stream in sentences.
    pub name: String,
    /// Bytes that came.
    pub size_bytes: u64,
    /// Bytes of a page.
    pub page_size_bytes: u32,
    /// Digest against bytes.
    pub digest: DigestCheck,
    /// The problems found, the first ones up to the bound that was asked for; of each page at most one.
    pub problems: Vec<Problem>,
    /// Problems beyond that bound.
    pub more_problems: u64,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

impl StreamReport {
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

    /// The digest, if it is that of the bytes that came and nothing is wrong with them as far as a stream shows.
    ///
    /// # Errors
    /// As those of [`VerifyReport::into_proven`](crate::VerifyReport::into_proven).
    pub fn into_proven(self) -> Result<Digest> {
        findings::proven(&self.name, &self.digest, &self.problems, self.more_problems)
    }
}

/// Reads a snapshot that can be read only once: compares the digest, and checks the meta pages and every page by itself.
/// What hangs together how, and what the records say, it cannot see: only [`verify`](crate::verify) of a file proves that.
///
/// `name` stands for the stream in sentences. Reads to the end, and blocks as long as the reader does; memory stays within
/// a few megabytes. A page that is free may hold anything: should it happen to look like a damaged one, it is called that.
///
/// # Errors
/// Where the stream cannot be read, or the observer asked to stop; `NotASnapshot`, saying what it is instead, where it is
/// no bbolt database; `Damaged` where both meta pages are.
///
/// ```
/// # let backup = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/snapshots/3.6.db");
/// let pipe = std::fs::File::open(backup)?;
/// let report = etcd_snap::verify_stream("the pipe", pipe, &Default::default())?;
/// println!("SHA-256 {}", report.into_proven()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify_stream(
    name: impl Into<String>,
    reader: impl Read,
    options: &VerifyOptions,
) -> Result<StreamReport> {
    let started = Instant::now();
    let name = name.into();
    let observer = options.observer.as_ref();
    let mut check = PassingCheck::new(name.clone(), options.max_problems, Judged::All);
    let mut hasher = Sha256::new();
    let mut source = Source::new(&name, reader);

    tell(observer, &Event::Started(Phase::Digest))?;
    while let Some(bytes) = source.next()? {
        for piece in bytes.chunks(PIECE) {
            hasher.update(piece);
            check.take(piece)?;
        }
        if let Some(total_bytes) = check.file_bytes() {
            let done_bytes = source.came();
            let progress = Event::Progress {
                phase: Phase::Digest,
                done_bytes,
                total_bytes: total_bytes.max(done_bytes),
            };
            tell(observer, &progress)?;
        }
    }

    let size_bytes = source.came();
    let last = source.last();
    let expected = match last.try_into() {
        Ok(bytes) if ends_with_digest(size_bytes) => Some(Digest::new(bytes)),
        _ => {
            hasher.update(last);
            check.take(last)?;
            None
        }
    };
    let found = Digest::new(hasher.finalize().into());
    let digest = DigestCheck::of(expected, found);
    let (metas, mut findings) = check.finish(expected.is_some())?;
    if let Some(problem) = digest.problem() {
        findings.first(problem);
    }
    let (problems, more_problems) = findings.into_parts();
    Ok(StreamReport {
        schema: 1,
        proof: ProofKind::Stream,
        name,
        size_bytes,
        page_size_bytes: metas.page_size(),
        digest,
        problems,
        more_problems,
        duration_ms: crate::milliseconds(started),
    })
}

/// The bytes of a reader but for the last ones, which may be the digest.
struct Source<'n, R> {
    name: &'n str,
    reader: R,
    buffer: Vec<u8>,
    /// Where in the buffer the bytes stand that were read and not given out.
    held: Range<usize>,
    came: u64,
}

impl<'n, R: Read> Source<'n, R> {
    fn new(name: &'n str, reader: R) -> Self {
        Self {
            name,
            reader,
            buffer: vec![0; BUFFER],
            held: 0..0,
            came: 0,
        }
    }

    /// The next bytes, perhaps none; `None` at the end.
    fn next(&mut self) -> Result<Option<&[u8]>> {
        let held = self.held.len();
        self.buffer.copy_within(self.held.clone(), 0);
        self.held = 0..held;
        let room = self.buffer.get_mut(held..).unwrap_or_default();
        let n = loop {
            match self.reader.read(room) {
                Ok(n) => break n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let message = format!("cannot read {} at byte {}", self.name, self.came);
                    return Err(Error::new(ErrorKind::Io, message)
                        .with_offset(self.came)
                        .with_source(e));
                }
            }
        };
        if n == 0 {
            return Ok(None);
        }
        self.came = self.came.saturating_add(n as u64);
        let end = held.saturating_add(n);
        let given = end.saturating_sub(Digest::LEN);
        self.held = given..end;
        Ok(Some(self.buffer.get(..given).unwrap_or_default()))
    }

    /// Bytes so far, with those that were held back.
    fn came(&self) -> u64 {
        self.came
    }

    /// What was held back.
    fn last(&self) -> &[u8] {
        self.buffer.get(self.held.clone()).unwrap_or_default()
    }
}
