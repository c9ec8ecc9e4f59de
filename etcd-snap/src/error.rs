//! One error for the whole crate: a kind to branch on, a sentence to read, the place, and what lies beneath.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::PageId;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for programs to branch on.
///
/// The list is small and stable; new kinds may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value that the caller gave cannot be used: an endpoint, a URL, a name, a combination of options.
    InvalidInput,
    /// A file or directory that was named does not exist.
    NotFound,
    /// The target is already there: a file, a data directory that is not empty.
    Occupied,
    /// Somebody else is using it: a running etcd has the lock of its database.
    Busy,
    /// The operating system refused access to a file or directory.
    AccessDenied,
    /// The disk, or the quota, is full, or files may not be so large.
    NoSpace,
    /// Reading or writing a local file failed otherwise.
    Io,
    /// The server could not be reached, or the TLS handshake with it failed.
    Connection,
    /// The server accepted the connection and then sent nothing for too long.
    Stalled,
    /// The server refused: a wrong password, or a right that is missing.
    Denied,
    /// The server broke the protocol: a stream that ends early, lengths that do not add up.
    Stream,
    /// The server answered with an error of its own.
    Server,
    /// The bytes are not the ones the digest was made of.
    DigestMismatch,
    /// The file carries no digest, so nobody can tell whether its bytes are the ones the server sent.
    NoDigest,
    /// It is an etcd database, and it is damaged.
    Damaged,
    /// It is sound, and the members of the cluster do not bear it out: one has something else, or none could tell.
    Unproven,
    /// It is not an etcd database at all.
    NotASnapshot,
    /// It is sound, but of a kind this version does not handle.
    Unsupported,
    /// The observer, or a signal, asked to stop.
    Cancelled,
}

/// What went wrong, where, and what lies beneath.
///
/// [`Display`](fmt::Display) prints one sentence; [`source`](std::error::Error::source) leads to the cause.
/// [`detail`](Error::detail) has the single values for those who word it differently.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    page: Option<PageId>,
    offset: Option<u64>,
    endpoint: Option<String>,
    detail: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            page: None,
            offset: None,
            endpoint: None,
            detail: Vec::new(),
            source: None,
        }))
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped on request")
    }

    /// An operation on a local path failed: `doing` reads like "read" or "create the directory".
    pub(crate) fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        Self::io_of(doing, &path.display().to_string(), source).with_path(path)
    }

    /// The same with something that has no path.
    pub(crate) fn io_of(doing: &str, name: &str, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => ErrorKind::Occupied,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::AccessDenied
            }
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("cannot {doing} {name}")).with_source(source)
    }

    /// The same of a part of something larger, whose name the sentence begins with.
    pub(crate) fn under(mut self, name: &str) -> Self {
        self.0.message = format!("{name}: {}", self.0.message);
        self
    }

    /// The same with more to the sentence.
    pub(crate) fn adding(mut self, more: &str) -> Self {
        self.0.message.push_str(more);
        self
    }

    pub(crate) fn with_path(mut self, path: &Path) -> Self {
        self.0.path = Some(path.to_owned());
        self
    }

    pub(crate) fn with_page(mut self, page: PageId) -> Self {
        self.0.page = Some(page);
        self
    }

    pub(crate) fn with_offset(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    pub(crate) fn with_detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.detail.push((name, value.into()));
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    #[cfg(feature = "stream")]
    pub(crate) fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.0.endpoint = Some(endpoint.into());
        self
    }

    /// The sentence, and those of all that lies beneath.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
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

    /// The page of the database concerned.
    #[must_use]
    pub fn page(&self) -> Option<PageId> {
        self.0.page
    }

    /// The byte concerned: of the file, or of the stream for errors while saving.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The server concerned.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// The single values behind the sentence, by name: `expected` and `found` of a digest, sizes, names.
    pub fn detail(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .detail
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
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
            .field("page", &self.0.page)
            .field("offset", &self.0.offset)
            .field("endpoint", &self.0.endpoint)
            .field("detail", &self.0.detail)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
