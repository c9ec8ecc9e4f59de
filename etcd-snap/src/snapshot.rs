//! An opened snapshot file: what every offline verb takes.

use std::fmt;
use std::fs::{File, FileType};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::bbolt::{Meta, MetaPages};
use crate::io::ReadAt;
use crate::{Digest, Error, ErrorKind, Result, sniff};

/// A snapshot, or the `db` file of a stopped member, whose meta pages were found.
///
/// Opening reads the two meta pages and the digest behind the database. That both are there says nothing of the pages
/// between them: [`verify`](crate::verify) does.
///
/// Untrusted files are fine: no verb panics on them, runs for ever, or takes memory that follows what they claim.
#[derive(Clone)]
pub struct Snapshot {
    source: Arc<dyn ReadAt>,
    name: String,
    path: Option<PathBuf>,
    size_bytes: u64,
    modified: Option<SystemTime>,
    digest: Option<Digest>,
    metas: MetaPages,
    meta: Meta,
}

impl Snapshot {
    /// Opens a file. Nothing is locked and nothing is changed.
    ///
    /// # Errors
    /// `NotFound`, `AccessDenied` or `Io` where the file cannot be read; `NotASnapshot`, saying what it is instead, where
    /// it is no bbolt database; `Unsupported` for a pipe, which only [`verify_stream`](crate::verify_stream) can do with;
    /// `Damaged` where both meta pages are.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // Looked at before it is opened: a pipe would wait for its writer.
        let metadata = std::fs::metadata(path).map_err(|e| Error::io("open", path, e))?;
        if let Some(error) = not_a_file(path, metadata.file_type()) {
            return Err(error);
        }
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let mut snapshot = Self::from_source(path.display().to_string(), Arc::new(file))
            .map_err(|e| e.with_path(path))?;
        snapshot.path = Some(path.to_owned());
        Ok(snapshot)
    }

    /// Takes a snapshot from anything that can be read at any position; `name` stands for it in sentences.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_source(name: impl Into<String>, source: Arc<dyn ReadAt>) -> Result<Self> {
        let name = name.into();
        let size_bytes = source.size().map_err(|e| {
            Error::new(ErrorKind::Io, format!("cannot tell the size of {name}")).with_source(e)
        })?;
        let modified = source.modified().ok().flatten();
        if let Some(error) = sniff::of_another_kind(source.as_ref(), &name) {
            return Err(error);
        }
        let metas = match MetaPages::read(source.as_ref(), &name) {
            Ok(metas) => metas,
            Err(e) if e.kind() == ErrorKind::NotASnapshot => {
                return Err(sniff::not_a_snapshot(source.as_ref(), size_bytes, &name));
            }
            Err(e) => return Err(e),
        };
        let meta = metas
            .current()
            .ok_or_else(|| Error::damaged(format!("{name} has no usable meta page")))?;
        let digest = read_digest(source.as_ref(), size_bytes, &name)?;
        Ok(Self {
            source,
            name,
            path: None,
            size_bytes,
            modified,
            digest,
            metas,
            meta,
        })
    }

    /// The name that sentences use: the path, for a file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path, for a file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes of the file that belong to the database: all but the digest.
    #[must_use]
    pub fn database_bytes(&self) -> u64 {
        match self.digest {
            Some(_) => self.size_bytes.saturating_sub(Digest::LEN as u64),
            None => self.size_bytes,
        }
    }

    /// The digest at the end of the file; `None` for a raw copy of a database.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Bytes of a page.
    #[must_use]
    pub fn page_size_bytes(&self) -> u32 {
        self.metas.page_size()
    }

    /// That nobody has written to it since it was opened, as far as its size and its time tell.
    ///
    /// # Errors
    /// `Io`, with the advice to work on a file that rests.
    pub(crate) fn require_unchanged(&self) -> Result<()> {
        let failed = |e| {
            Error::new(ErrorKind::Io, format!("cannot look at {} again", self.name)).with_source(e)
        };
        let size_bytes = self.source.size().map_err(failed)?;
        let modified = self.source.modified().ok().flatten();
        if (size_bytes, modified) == (self.size_bytes, self.modified) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Io,
            format!(
                "{} was written to while it was read: wait until nobody writes to it, or stop the etcd that it belongs to, \
                 and try again",
                self.name
            ),
        ))
    }

    pub(crate) fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(crate) fn metas(&self) -> &MetaPages {
        &self.metas
    }
}

/// What is no file to read back and forth in, named for what it is.
fn not_a_file(path: &Path, file_type: FileType) -> Option<Error> {
    let what = if file_type.is_file() {
        return None;
    } else if file_type.is_fifo() {
        let sentence = format!(
            "{} is a pipe, and the pages of a snapshot are needed in another order than they come out of it: \
             write it to a file first",
            path.display()
        );
        return Some(Error::new(ErrorKind::Unsupported, sentence).with_path(path));
    } else if file_type.is_dir() {
        "a directory"
    } else if file_type.is_block_device() {
        "a block device"
    } else if file_type.is_char_device() {
        "a character device"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "not a regular file"
    };
    let sentence = format!(
        "{} is {what}: name the snapshot file itself",
        path.display()
    );
    Some(Error::new(ErrorKind::NotASnapshot, sentence).with_path(path))
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("name", &self.name)
            .field("size_bytes", &self.size_bytes)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Whether a file of this size ends with a digest: a database is a multiple of its page size, so 32 bytes over a multiple of
/// 512, the smallest sector, are one (`hasChecksum` in etcd's `etcdutl/snapshot/v3_snapshot.go`).
pub(crate) fn ends_with_digest(size_bytes: u64) -> bool {
    const SECTOR: u64 = 512;
    size_bytes % SECTOR == Digest::LEN as u64
}

fn read_digest(source: &dyn ReadAt, size_bytes: u64, name: &str) -> Result<Option<Digest>> {
    if !ends_with_digest(size_bytes) {
        return Ok(None);
    }
    let mut bytes = [0; Digest::LEN];
    let offset = size_bytes.saturating_sub(Digest::LEN as u64);
    let n = source.read_at(&mut bytes, offset).map_err(|e| {
        Error::new(
            ErrorKind::Io,
            format!("cannot read the digest at the end of {name}"),
        )
        .with_offset(offset)
        .with_source(e)
    })?;
    Ok((n == bytes.len()).then_some(Digest::new(bytes)))
}
