//! Judges a database while its bytes pass: what both the save and the verification of a stream do beside the hash.

use super::findings::{Findings, judge_metas};
use crate::bbolt::{Judged, MetaPages, Passing};
use crate::{Digest, Error, ErrorKind, ReadAt, Result, sniff};

/// A database on its way.
#[derive(Debug)]
pub(crate) struct PassingCheck {
    name: String,
    passing: Passing,
    /// The first bytes.
    head: Vec<u8>,
    findings: Findings,
    /// Bytes that the database has by another word than its own.
    announced: Option<u64>,
    metas_judged: bool,
}

impl PassingCheck {
    pub(crate) fn new(name: String, max_problems: usize, judged: Judged) -> Self {
        Self {
            name,
            passing: Passing::new(judged),
            head: Vec::with_capacity(sniff::HEAD),
            findings: Findings::new(max_problems),
            announced: None,
            metas_judged: false,
        }
    }

    /// So many bytes will come, and then a digest. The metas are held against that as soon as they pass.
    #[cfg(feature = "stream")]
    pub(crate) fn expect(&mut self, database_bytes: u64) {
        self.announced = Some(database_bytes);
    }

    /// Takes the next bytes of the database.
    ///
    /// # Errors
    /// They begin no database: `NotASnapshot`, saying what it is instead, or `Damaged`.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let missing = sniff::HEAD.saturating_sub(self.head.len());
        if missing > 0 {
            self.head
                .extend_from_slice(bytes.get(..missing).unwrap_or(bytes));
            if self.head.len() == sniff::HEAD {
                self.require_no_other_kind()?;
            }
        }
        let findings = &mut self.findings;
        self.passing
            .take(bytes, &self.name, &mut |problem| findings.problem(problem))
            .map_err(|e| named(e, &self.head, self.passing.passed(), &self.name))?;
        if let (Some(announced), Some(metas), false) =
            (self.announced, self.passing.metas(), self.metas_judged)
        {
            judge_metas(metas, announced, true, &mut self.findings);
            self.metas_judged = true;
        }
        Ok(())
    }

    /// # Errors
    /// `Damaged` if there was any damage so far.
    #[cfg(feature = "stream")]
    pub(crate) fn require_sound(&self) -> Result<()> {
        self.findings.require_sound(&self.name)
    }

    /// Bytes that the file will have by the word of its metas, the digest included; `None` before they have passed.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        let meta = self.passing.metas()?.current()?;
        Some(meta.size_bytes().saturating_add(Digest::LEN as u64))
    }

    /// The end, with or without a digest behind it.
    ///
    /// # Errors
    /// As [`take`](Self::take), where not even the metas have come.
    pub(crate) fn finish(self, has_digest: bool) -> Result<(MetaPages, Findings)> {
        self.require_no_other_kind()?;
        let passed = self.passing.passed();
        let mut findings = self.findings;
        let metas = self
            .passing
            .finish(&self.name)
            .map_err(|e| named(e, &self.head, passed, &self.name))?;
        if !self.metas_judged {
            judge_metas(&metas, passed, has_digest, &mut findings);
        }
        Ok((metas, findings))
    }

    fn require_no_other_kind(&self) -> Result<()> {
        match sniff::of_another_kind(&self.head, &self.name) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The error, with what it is that is no database.
fn named(error: Error, head: &dyn ReadAt, passed: u64, name: &str) -> Error {
    match error.kind() {
        ErrorKind::NotASnapshot => sniff::not_a_snapshot(head, passed, name),
        _ => error,
    }
}
