//! What is written as the bytes come: pipes, devices, standard output, any writer. Nothing of it can be taken back, so the
//! end stays here until everything is proven.

use std::fmt;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::options::SaveOptions;
use crate::observe::{Event, tell};
use crate::{Digest, Error, ErrorKind, Result};

/// Bytes of the database that stay here with the digest. What was sent without them is too short for its high-water mark,
/// which every check finds.
const HELD_BACK: u64 = 512;
/// How often it is looked whether somebody reads from a pipe by now, or whether the save was given up.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Opens what is at `path` and is no file.
pub(super) async fn open(path: &Path, kind: FileType, options: &SaveOptions) -> Result<File> {
    // A pipe opens when there is a reader; a mounted device does not open.
    let mut flags = OFlags::NOCTTY;
    if kind.is_fifo() {
        flags |= OFlags::NONBLOCK;
    } else if kind.is_block_device() {
        flags |= OFlags::EXCL;
    }
    let mut waiting = false;
    let file = loop {
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        match opened {
            Ok(file) => break file,
            Err(e) if kind.is_fifo() && is(&e, Errno::NXIO) => {
                if !waiting {
                    let note = format!("waiting for somebody to read from {}", path.display());
                    tell(options.observer(), &Event::Note(note))?;
                    waiting = true;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(e) => return Err(Error::io("open", path, e)),
        }
    };
    let found = file
        .metadata()
        .map_err(|e| Error::io("look at", path, e))?
        .file_type();
    if found != kind {
        let message = format!("{} was replaced while it was opened", path.display());
        return Err(Error::new(ErrorKind::Io, message).with_path(path));
    }
    Ok(file)
}

/// Takes a database in order, and then its end.
pub(crate) struct Direct {
    name: String,
    to: To,
    /// Bytes of the database that may leave before everything is proven.
    free: u64,
    sent: u64,
    held_back: Vec<u8>,
}

enum To {
    Descriptor(Arc<File>),
    Writer(Box<dyn Write + Send>),
}

impl Direct {
    /// # Errors
    /// It is a terminal.
    pub(super) fn to_descriptor(name: String, file: File) -> Result<Self> {
        if file.is_terminal() {
            return Err(Error::invalid(format!(
                "{name} is a terminal, and a snapshot is no text: name a file, or a pipe with a reader"
            )));
        }
        Ok(Self::new(name, To::Descriptor(Arc::new(file))))
    }

    pub(super) fn to_writer(name: String, writer: Box<dyn Write + Send>) -> Self {
        Self::new(name, To::Writer(writer))
    }

    fn new(name: String, to: To) -> Self {
        Self {
            name,
            to,
            free: 0,
            sent: 0,
            held_back: Vec::new(),
        }
    }

    pub(super) fn watched(&self) -> Option<Watched> {
        match &self.to {
            To::Descriptor(file) => Some(Watched {
                name: self.name.clone(),
                file: Arc::clone(file),
            }),
            To::Writer(_) => None,
        }
    }

    /// So many bytes of a database will come.
    pub(super) fn expect(&mut self, database_bytes: u64) {
        self.free = database_bytes.saturating_sub(HELD_BACK);
    }

    /// Sends the next bytes of the database, but for the last ones.
    pub(super) fn write(&mut self, bytes: &[u8], cancelled: &AtomicBool) -> Result<()> {
        let room = usize::try_from(self.free.saturating_sub(self.sent)).unwrap_or(usize::MAX);
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        self.send(now, cancelled)?;
        self.held_back.extend_from_slice(later);
        Ok(())
    }

    /// Everything is proven: sends what was held back, and the digest.
    pub(super) fn finish(&mut self, digest: Digest, cancelled: &AtomicBool) -> Result<()> {
        let mut end = std::mem::take(&mut self.held_back);
        end.extend_from_slice(digest.as_bytes());
        self.send(&end, cancelled)?;
        match &mut self.to {
            To::Descriptor(file) => sync(file),
            To::Writer(writer) => writer.flush(),
        }
        .map_err(|e| self.failed(e))
    }

    fn send(&mut self, mut bytes: &[u8], cancelled: &AtomicBool) -> Result<()> {
        while !bytes.is_empty() {
            if cancelled.load(Ordering::Relaxed) {
                return Err(Error::cancelled());
            }
            let written = match &mut self.to {
                To::Descriptor(file) => file.write(bytes),
                To::Writer(writer) => writer.write(bytes),
            };
            match written {
                Ok(0) => return Err(self.failed(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.sent = self.sent.saturating_add(n as u64);
                    bytes = bytes.get(n..).unwrap_or_default();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => match &self.to {
                    To::Descriptor(file) => wait_for_room(file),
                    To::Writer(_) => return Err(self.failed(e)),
                },
                Err(e) => return Err(self.failed(e)),
            }
        }
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::BrokenPipe {
            reader_went(&self.name).with_source(error)
        } else {
            Error::io_of("write to", &self.name, error)
        }
        .with_offset(self.sent)
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct")
            .field("name", &self.name)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

/// A descriptor, seen from where nothing is written.
#[derive(Debug)]
pub(crate) struct Watched {
    name: String,
    file: Arc<File>,
}

impl Watched {
    /// The failure, if nobody can read any more what would be written.
    pub(crate) fn reader_is_gone(&self) -> Option<Error> {
        let mut watched = [PollFd::new(&*self.file, PollFlags::empty())];
        let ready = poll(&mut watched, Some(&Timespec::default()));
        let [watched] = watched;
        // Of a pipe, and of a socket whose both directions are closed.
        let gone = PollFlags::ERR | PollFlags::HUP;
        (ready.is_ok_and(|n| n > 0) && watched.revents().intersects(gone))
            .then(|| reader_went(&self.name))
    }
}

fn reader_went(name: &str) -> Error {
    Error::new(
        ErrorKind::Io,
        format!("whoever read from {name} went away before the snapshot was complete"),
    )
}

/// Returns when there may be room, or to look whether the save was given up.
fn wait_for_room(file: &File) {
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(LOOK_AGAIN.subsec_nanos()),
    };
    // A failure shows at the next write.
    let _ = poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&limit));
}

/// Brings what has a disk to it.
fn sync(file: &File) -> io::Result<()> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_block_device() {
        file.sync_all()?;
    }
    Ok(())
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
