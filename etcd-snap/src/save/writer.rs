//! The thread that hashes, writes, and looks through what it wrote.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::options::SaveOptions;
use crate::io::{Flusher, NewFile, ReadAt, StagedFile};
use crate::observe::UnlessCancelled;
use crate::verify::{Contents, Findings, Wants, look};
use crate::{Digest, Error, ErrorKind, Result, Snapshot};

/// Buffers under way. With a megabyte each, this and the HTTP/2 windows bound the memory of a save.
const QUEUE: usize = 4;
/// A piece stays in the processor's cache between hash and write.
const PIECE: usize = 32 << 10;
const PROBLEMS: usize = 100;

enum Order {
    Reserve(u64),
    Write(Vec<u8>),
    /// The stream ended well, with this digest.
    Finish(Digest),
}

/// The future's end of the thread. Dropping it makes the thread stop at its next step.
pub(crate) struct Writer {
    orders: mpsc::Sender<Order>,
    outcome: oneshot::Receiver<Result<Contents>>,
    cancelled: Arc<AtomicBool>,
}

impl Writer {
    pub(crate) fn start(staged: &StagedFile, name: String, options: &SaveOptions) -> Result<Self> {
        let (orders, inbox) = mpsc::channel(QUEUE);
        let (result, outcome) = oneshot::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let work = Work {
            file: Arc::clone(staged.file()),
            path: staged.target().to_owned(),
            name,
            observer: UnlessCancelled::new(options.share_observer(), Arc::clone(&cancelled)),
        };
        std::thread::Builder::new()
            .name("etcd-snap-save".to_owned())
            .spawn(move || {
                if let Some(outcome) = work.run(inbox) {
                    // Nobody listens any more when the save was dropped.
                    let _ = result.send(outcome);
                }
            })
            .map_err(|e| Error::new(ErrorKind::Io, "cannot start a thread").with_source(e))?;
        Ok(Self {
            orders,
            outcome,
            cancelled,
        })
    }

    /// Makes room for the whole file at once, so that a disk that is too small is known before the transfer.
    pub(crate) async fn reserve(&mut self, database_bytes: u64) -> Result<()> {
        let file_bytes = database_bytes.saturating_add(Digest::LEN as u64);
        self.order(Order::Reserve(file_bytes)).await
    }

    pub(crate) async fn write(&mut self, buffer: Vec<u8>) -> Result<()> {
        self.order(Order::Write(buffer)).await
    }

    /// Has the digest compared, the file looked through and synced. The thread is done with the file then.
    pub(crate) async fn finish(mut self, digest: Digest) -> Result<Contents> {
        self.order(Order::Finish(digest)).await?;
        (&mut self.outcome).await.unwrap_or_else(|_| Err(died()))
    }

    /// Ready when the thread has given up, which it does early only for a failure.
    pub(crate) fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        Pin::new(&mut self.outcome)
            .poll(cx)
            .map(|outcome| match outcome {
                Ok(Err(e)) => e,
                Ok(Ok(_)) | Err(_) => died(),
            })
    }

    async fn order(&mut self, order: Order) -> Result<()> {
        match self.orders.send(order).await {
            Ok(()) => Ok(()),
            Err(_) => match (&mut self.outcome).await {
                Ok(Err(e)) => Err(e),
                Ok(Ok(_)) | Err(_) => Err(died()),
            },
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Only a panic of ours can do that.
fn died() -> Error {
    Error::new(
        ErrorKind::Io,
        "the thread that writes the file died; this is a fault of etcd-snap",
    )
}

struct Work {
    file: Arc<dyn NewFile>,
    /// The final name, for sentences: the staged one means nothing to anybody.
    path: PathBuf,
    name: String,
    observer: UnlessCancelled,
}

impl Work {
    /// Nothing when the future went away.
    fn run(self, mut inbox: mpsc::Receiver<Order>) -> Option<Result<Contents>> {
        let mut hasher = Sha256::new();
        let mut flusher = Flusher::new(&self.file);
        let mut written = 0;
        loop {
            let done = match inbox.blocking_recv()? {
                Order::Reserve(bytes) => self.reserve(bytes),
                Order::Write(buffer) => {
                    let done = self.write(&buffer, &mut written, &mut hasher);
                    flusher.wrote(buffer.len() as u64);
                    done
                }
                Order::Finish(digest) => {
                    let found = Digest::new(hasher.finalize().into());
                    return Some(self.finish(written, digest, found, flusher));
                }
            };
            if let Err(e) = done {
                return Some(Err(e));
            }
        }
    }

    fn reserve(&self, bytes: u64) -> Result<()> {
        let doing = format!("make room for {bytes} bytes in");
        self.file
            .reserve(bytes)
            .map_err(|e| Error::io(&doing, &self.path, e))
    }

    fn write(&self, buffer: &[u8], written: &mut u64, hasher: &mut Sha256) -> Result<()> {
        for piece in buffer.chunks(PIECE) {
            hasher.update(piece);
            self.file
                .write_at(piece, *written)
                .map_err(|e| Error::io("write", &self.path, e).with_offset(*written))?;
            *written = written.saturating_add(piece.len() as u64);
        }
        Ok(())
    }

    fn finish(
        &self,
        written: u64,
        expected: Digest,
        found: Digest,
        mut flusher: Flusher,
    ) -> Result<Contents> {
        if expected != found {
            return Err(Error::new(
                ErrorKind::DigestMismatch,
                format!(
                    "the bytes that came are not the ones that were sent: the server gives {expected} as their SHA-256, \
                     and it is {found}"
                ),
            )
            .with_offset(written)
            .with_detail("expected", expected.to_string())
            .with_detail("found", found.to_string()));
        }
        self.file
            .write_at(expected.as_bytes(), written)
            .map_err(|e| Error::io("write", &self.path, e).with_offset(written))?;
        // The rest goes to the disk while it is looked through.
        flusher.wrote_last();
        let contents = self.check()?;
        flusher
            .finish()
            .map_err(|e| Error::io("bring to the disk", &self.path, e))?;
        Ok(contents)
    }

    /// The digest proves that these are the server's bytes; this, that they are a database to restore from.
    fn check(&self) -> Result<Contents> {
        let source: Arc<dyn ReadAt> = Arc::clone(&self.file) as _;
        let snapshot = Snapshot::from_source(self.name.clone(), source)?;
        let mut findings = Findings::new(PROBLEMS);
        let looked = look(&snapshot, Wants::default(), &mut findings, &self.observer)?;
        findings.require_sound(&self.name)?;
        Ok(looked.contents)
    }
}
