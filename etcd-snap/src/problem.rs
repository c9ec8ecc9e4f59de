//! What is wrong in a file: one value for each thing found.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::backend::RevisionKey;
use crate::{Error, PageId};

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing; the data is whole.
    Note,
    /// No healthy server writes this, yet every record can be read.
    Suspicious,
    /// Data is missing or wrong.
    Damaged,
}

/// What sort of thing a [`Problem`] is, for programs to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// The bytes are not the ones that the digest was made of.
    DigestMismatch,
    /// A meta page does not validate.
    Meta,
    /// The two meta pages do not describe the same state, as they do in every stream.
    MetaDisagreement,
    /// The file ends before the high-water mark.
    FileTooShort,
    /// The file goes on behind the high-water mark.
    FileTooLong,
    /// A page id at or above the high-water mark, or an extent that reaches over it.
    PageOutOfBounds,
    /// A page carries another page's id.
    PageId,
    /// A page is of a kind that does not belong there.
    PageKind,
    /// Two places refer to one page.
    PageMultipleReferences,
    /// A page is in use and on the freelist.
    PageReachableAndFree,
    /// A page is neither in use nor on the freelist.
    PageUnreachable,
    /// The freelist names a page twice, or one that does not exist.
    Freelist,
    /// An element reaches out of its page, or its sizes are impossible.
    Element,
    /// Keys are not in order.
    KeyOrder,
    /// The tree, or buckets within buckets, are deeper than any real database.
    Depth,
    /// A bucket is missing, unknown, or of the wrong shape.
    Bucket,
    /// A key of the `key` bucket is not a revision, or out of order.
    RevisionKey,
    /// A value does not decode.
    Value,
    /// A record's fields contradict its key or each other.
    Record,
    /// A member is malformed.
    Member,
    /// A lease is malformed.
    Lease,
    /// A field of the `meta` bucket is malformed or contradicts the others.
    MetaBucket,
    /// An entry of the alarm, auth or cluster buckets is malformed.
    Entry,
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What sort of thing it is.
    pub code: ProblemCode,
    /// The page it is on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<PageId>,
    /// The byte of the file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
    /// The bucket it is in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bucket: Option<String>,
    /// The pages that lead from the root page to that one, itself the last. Empty where no tree leads there.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub path: Vec<PageId>,
    /// The key in its bucket: a revision like `1055.0`, text where it is printable, else hexadecimal digits behind `0x`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// A sentence.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(severity: Severity, code: ProblemCode, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            page: None,
            offset: None,
            bucket: None,
            path: Vec::new(),
            key: None,
            message: message.into(),
        }
    }

    pub(crate) fn damaged(code: ProblemCode, message: impl Into<String>) -> Self {
        Self::new(Severity::Damaged, code, message)
    }

    #[must_use]
    pub(crate) fn at(mut self, page: PageId, offset: u64) -> Self {
        self.page = Some(page);
        self.offset = Some(offset);
        self
    }

    /// The page is one of those in `trail`, or is led to by the last of them.
    #[must_use]
    pub(crate) fn under(mut self, trail: &[PageId]) -> Self {
        let Some(page) = self
            .page
            .filter(|_| self.path.is_empty() && !trail.is_empty())
        else {
            return self;
        };
        let known = trail.iter().position(|on_the_way| *on_the_way == page);
        let upto = known.map_or(trail.len(), |at| at.saturating_add(1));
        self.path = trail.get(..upto).unwrap_or(trail).to_vec();
        if known.is_none() {
            self.path.push(page);
        }
        self
    }

    /// With a key of any bucket. Those of the `key` bucket are revisions (formats.md 2).
    #[must_use]
    pub(crate) fn with_key(mut self, key: &[u8]) -> Self {
        self.key
            .get_or_insert_with(|| match RevisionKey::parse(key) {
                Ok(revision) => revision.to_string(),
                Err(_) => key_text(key),
            });
        self
    }
}

/// So many bytes of a key are shown.
pub(crate) const KEY_SHOWN: usize = 256;

/// A key for people: text where it is printable, else hexadecimal digits behind `0x`; the first bytes of a long one.
pub(crate) fn key_text(key: &[u8]) -> String {
    use fmt::Write as _;
    let shown = key.get(..KEY_SHOWN).unwrap_or(key);
    let more = if shown.len() < key.len() { "…" } else { "" };
    match std::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text}{more}"),
        _ => {
            let mut text = "0x".to_owned();
            shown.iter().for_each(|byte| {
                let _ = write!(text, "{byte:02x}");
            });
            text + more
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.page, self.offset) {
            (Some(page), Some(offset)) => write!(f, "page {page} (byte {offset}): ")?,
            (None, Some(offset)) => write!(f, "byte {offset}: ")?,
            (Some(page), None) => write!(f, "page {page}: ")?,
            (None, None) => {}
        }
        if let Some(bucket) = &self.bucket {
            write!(f, "bucket {bucket:?}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let mut error = Self::damaged(format!("the database is damaged: {problem}"));
        if let Some(page) = problem.page {
            error = error.with_page(page);
        }
        if let Some(offset) = problem.offset {
            error = error.with_offset(offset);
        }
        error
    }
}
