//! One error for the whole crate: a kind to branch on, a sentence to read, what to do, and what lies beneath.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for programs to branch on.
///
/// The list is small and stable; new kinds may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value that the caller gave cannot be used.
    InvalidInput,
    /// Something that was named, or has to be there, is not: a file, an etcd on this machine, a recovery to go on with.
    NotFound,
    /// What configures etcd here cannot be understood, or cannot work: a manifest that is no YAML, a unit without `ExecStart`.
    Misconfigured,
    /// The operating system refused access.
    AccessDenied,
    /// The disk is full, or would be.
    NoSpace,
    /// Reading or writing a local file failed otherwise.
    Io,
    /// Another run is at work, or a recovery is under way that has to be resumed or rolled back first.
    Busy,
    /// Something was found beforehand that speaks against it; nothing has been changed.
    Refused,
    /// Somebody else owns this etcd, who has a way of their own to recover it: k3s, RKE2, Talos, OpenShift, kOps.
    Unsupported,
    /// A command that had to be run failed: `systemctl`, `etcd`.
    Command,
    /// What was waited for did not come in the time that there was.
    Late,
    /// A proof failed: what the server holds is not what the snapshot holds.
    Unproven,
    /// What was restored waits for other members to come.
    Waiting,
    /// The observer, or a signal, asked to stop.
    Cancelled,
    /// The library says why; it is the [source](std::error::Error::source), see [`Error::library`].
    Library,
}

/// What went wrong, where, what to do about it, and what lies beneath.
///
/// [`Display`](fmt::Display) prints one sentence; [`remedy`](Error::remedy) another one.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    remedy: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            remedy: None,
            source: None,
        }))
    }

    /// An operation on a local path failed: `doing` reads like "read" or "create the directory".
    pub(crate) fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::AccessDenied
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("cannot {doing} {}", path.display()))
            .with_path(path)
            .with_source(source)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped on request")
    }

    pub(crate) fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.path = Some(path.into());
        self
    }

    /// Gives it another [remedy](Self::remedy): for those who know better what a person would type.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file or directory concerned.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// The error of the library, where it is one.
    #[must_use]
    pub fn library(&self) -> Option<&etcd_snap::Error> {
        self.0.source.as_deref()?.downcast_ref()
    }
}

impl From<etcd_snap::Error> for Error {
    fn from(error: etcd_snap::Error) -> Self {
        let kind = match error.kind() {
            etcd_snap::ErrorKind::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::Library,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("path", &self.0.path)
            .field("remedy", &self.0.remedy)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The library's own sentence is this one's: what lies beneath it comes next.
        match self.library() {
            Some(error) => error.source(),
            None => self.0.source.as_deref().map(|source| source as _),
        }
    }
}
