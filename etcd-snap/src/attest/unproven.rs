//! A snapshot that the members of its cluster do not bear out, as an error.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::AttestReport;
use crate::{Error, ErrorKind};

/// A snapshot that no member bears out, or that one contradicts: the source of every error of the kind `Unproven`.
///
/// ```no_run
/// # fn example(error: etcd_snap::Error) {
/// use std::error::Error as _;
///
/// let unproven = error.source().and_then(|source| source.downcast_ref::<etcd_snap::Unproven>());
/// if let Some(unproven) = unproven {
///     println!("{} members differ", unproven.attest.differing());
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unproven {
    /// Of this report's form: 1.
    pub schema: u32,
    /// Where the snapshot lies all the same, because that was asked for.
    #[serde(serialize_with = "crate::path_text::serialize_option")]
    pub kept: Option<PathBuf>,
    /// What the members say.
    pub attest: AttestReport,
}

impl Unproven {
    pub(crate) fn new(attest: AttestReport) -> Self {
        Self {
            schema: 1,
            kept: None,
            attest,
        }
    }

    pub(crate) fn kept_as(mut self, path: &Path) -> Self {
        self.kept = Some(path.to_owned());
        self
    }

    /// `what` is the snapshot, in a sentence; `fate` goes on from it.
    pub(crate) fn into_error(self, what: &str, fate: &str) -> Error {
        let attest = &self.attest;
        let sentence = format!(
            "{what} is not proven: {} at revision {}{fate}",
            attest.summary(),
            attest.revision
        );
        let mut error = Error::new(ErrorKind::Unproven, sentence)
            .with_detail("verdict", attest.verdict.to_string());
        if let Some(path) = &self.kept {
            error = error.with_path(path);
        }
        error.with_source(self)
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for member in &self.attest.members {
            if !first {
                f.write_str("; ")?;
            }
            first = false;
            member.fmt(f)?;
        }
        if self.attest.known_members == Some(false) {
            f.write_str("; the snapshot knows none of these members: it is from another cluster, or this one was restored")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unproven {}
