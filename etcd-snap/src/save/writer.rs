//! The thread that hashes and checks what passes, writes it, and looks through what it wrote.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::direct::Watched;
use super::options::SaveOptions;
use super::outlet::Sink;
use crate::bbolt::Judged;
use crate::io::{NewFile, ReadAt};
use crate::observe::{Observer, UnlessCancelled};
use crate::verify::{Contents, Findings, PassingCheck, Wants, look};
use crate::{Digest, Error, ErrorKind, ProofKind, Result, Snapshot};

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

/// What was proven of what was written.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) proof: ProofKind,
    /// What the walk counted; a stream shows none of it.
    pub(crate) contents: Option<Contents>,
}

/// The future's end of the thread. Dropping it makes the thread stop at its next step.
pub(crate) struct Writer {
    orders: mpsc::Sender<Order>,
    /// Buffers to fill again: fresh ones cost a page fault for every page.
    emptied: mpsc::Receiver<Vec<u8>>,
    outcome: oneshot::Receiver<Result<Checked>>,
    watched: Option<Watched>,
    cancelled: Arc<AtomicBool>,
    /// It has said how it ended.
    ended: bool,
}

impl Writer {
    pub(crate) fn start(sink: Sink, name: String, options: &SaveOptions) -> Result<Self> {
        let (orders, inbox) = mpsc::channel(QUEUE);
        let (give_back, emptied) = mpsc::channel(QUEUE);
        let (result, outcome) = oneshot::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let watched = sink.watched();
        let judged = match sink {
            Sink::Staged { .. } => Judged::InUse,
            Sink::Direct(_) => Judged::All,
        };
        let work = Work {
            sink,
            emptied: give_back,
            check: PassingCheck::new(name.clone(), PROBLEMS, judged),
            hasher: Sha256::new(),
            written: 0,
            name,
            cancelled: Arc::clone(&cancelled),
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
            emptied,
            outcome,
            watched,
            cancelled,
            ended: false,
        })
    }

    /// Whether there is something to ask [`reader_is_gone`](Self::reader_is_gone) of.
    pub(crate) fn has_reader(&self) -> bool {
        self.watched.is_some()
    }

    /// The failure, if nobody can read any more what is written.
    pub(crate) fn reader_is_gone(&self) -> Option<Error> {
        self.watched.as_ref()?.reader_is_gone()
    }

    /// Makes room for the whole file at once, so that a disk that is too small is known before the transfer.
    pub(crate) async fn reserve(&mut self, database_bytes: u64) -> Result<()> {
        self.order(Order::Reserve(database_bytes)).await
    }

    /// Takes a buffer, and gives one that is empty.
    pub(crate) async fn write(&mut self, buffer: Vec<u8>) -> Result<Vec<u8>> {
        self.order(Order::Write(buffer)).await?;
        Ok(self.emptied.try_recv().unwrap_or_default())
    }

    /// Has the digest compared, the file looked through and synced. The thread is done with the file then.
    pub(crate) async fn finish(mut self, digest: Digest) -> Result<Checked> {
        self.order(Order::Finish(digest)).await?;
        (&mut self.outcome).await.unwrap_or_else(|_| Err(died()))
    }

    /// Makes the thread stop, and waits until it has let go of the file: only then its space is free again.
    pub(crate) async fn stop(mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        if !self.ended {
            // Without this end of it the thread waits for no orders any more.
            self.orders = mpsc::channel(1).0;
            let _ = (&mut self.outcome).await;
        }
    }

    /// Ready when the thread has given up, which it does early only for a failure.
    pub(crate) fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        Pin::new(&mut self.outcome).poll(cx).map(|outcome| {
            self.ended = true;
            match outcome {
                Ok(Err(e)) => e,
                Ok(Ok(_)) | Err(_) => died(),
            }
        })
    }

    async fn order(&mut self, order: Order) -> Result<()> {
        match self.orders.send(order).await {
            Ok(()) => Ok(()),
            Err(_) => {
                let outcome = (&mut self.outcome).await;
                self.ended = true;
                match outcome {
                    Ok(Err(e)) => Err(e),
                    Ok(Ok(_)) | Err(_) => Err(died()),
                }
            }
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
    sink: Sink,
    emptied: mpsc::Sender<Vec<u8>>,
    check: PassingCheck,
    hasher: Sha256,
    written: u64,
    name: String,
    cancelled: Arc<AtomicBool>,
    observer: UnlessCancelled,
}

impl Work {
    /// Nothing when the future went away.
    fn run(mut self, mut inbox: mpsc::Receiver<Order>) -> Option<Result<Checked>> {
        loop {
            let done = match inbox.blocking_recv()? {
                Order::Reserve(database_bytes) => self.reserve(database_bytes),
                Order::Write(mut buffer) => {
                    let written = self.write(&buffer);
                    buffer.clear();
                    // There may be enough of them.
                    let _ = self.emptied.try_send(buffer);
                    written
                }
                Order::Finish(digest) => return Some(self.finish(digest)),
            };
            if let Err(e) = done {
                return Some(Err(e));
            }
        }
    }

    fn reserve(&mut self, database_bytes: u64) -> Result<()> {
        self.check.expect(database_bytes);
        match &mut self.sink {
            Sink::Staged { file, path, .. } => {
                let bytes = database_bytes.saturating_add(Digest::LEN as u64);
                let doing = format!("make room for {bytes} bytes in");
                file.reserve(bytes).map_err(|e| Error::io(&doing, path, e))
            }
            Sink::Direct(direct) => {
                direct.expect(database_bytes);
                Ok(())
            }
        }
    }

    fn write(&mut self, buffer: &[u8]) -> Result<()> {
        for piece in buffer.chunks(PIECE) {
            self.hasher.update(piece);
            self.check.take(piece)?;
            self.check.require_sound()?;
            match &mut self.sink {
                Sink::Staged {
                    file,
                    path,
                    flusher,
                } => {
                    file.write_at(piece, self.written)
                        .map_err(|e| Error::io("write", path, e).with_offset(self.written))?;
                    flusher.wrote(piece.len() as u64);
                }
                Sink::Direct(direct) => direct.write(piece, &self.cancelled)?,
            }
            self.written = self.written.saturating_add(piece.len() as u64);
        }
        Ok(())
    }

    fn finish(self, expected: Digest) -> Result<Checked> {
        let found = Digest::new(self.hasher.finalize().into());
        if expected != found {
            return Err(Error::new(
                ErrorKind::DigestMismatch,
                format!(
                    "the bytes that came are not the ones that were sent: the server gives {expected} as their SHA-256, \
                     and it is {found}"
                ),
            )
            .with_offset(self.written)
            .with_detail("expected", expected.to_string())
            .with_detail("found", found.to_string()));
        }
        match self.sink {
            Sink::Staged {
                file,
                path,
                mut flusher,
            } => {
                file.write_at(expected.as_bytes(), self.written)
                    .map_err(|e| Error::io("write", &path, e).with_offset(self.written))?;
                // The rest goes to the disk while it is looked through.
                flusher.wrote_last();
                let contents = walk(&file, &self.name, &self.observer)?;
                flusher
                    .finish()
                    .map_err(|e| Error::io("bring to the disk", &path, e))?;
                Ok(Checked {
                    proof: ProofKind::Full,
                    contents: Some(contents),
                })
            }
            Sink::Direct(mut direct) => {
                let (_, findings) = self.check.finish(true)?;
                findings.require_sound(&self.name)?;
                direct.finish(expected, &self.cancelled)?;
                Ok(Checked {
                    proof: ProofKind::Stream,
                    contents: None,
                })
            }
        }
    }
}

/// The digest proves that these are the server's bytes; this, that they are a database to restore from.
fn walk(file: &Arc<dyn NewFile>, name: &str, observer: &dyn Observer) -> Result<Contents> {
    let source: Arc<dyn ReadAt> = Arc::clone(file) as _;
    let snapshot = Snapshot::from_source(name, source)?;
    let mut findings = Findings::new(PROBLEMS);
    let wants = Wants {
        table_bytes: Wants::LITTLE_TABLE_BYTES,
        ..Wants::default()
    };
    let looked = look(&snapshot, wants, &mut findings, observer)?;
    findings.require_sound(name)?;
    Ok(looked.contents)
}
