//! Message after message, from the first byte to the end of the stream.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_core::Stream;
use tokio::time::{Duration, Instant, timeout_at};

use super::options::SaveOptions;
use super::protocol::{Part, Protocol};
use super::report::Origin;
use super::writer::Writer;
use crate::observe::{Event, Phase, tell};
use crate::stream::Chunk;
use crate::{Digest, Error, ErrorKind, Result};

/// What one hand-over to the thread carries.
const BUFFER: usize = 1 << 20;

/// How often a silent wait looks whether the reader of a pipe is still there.
const GLANCE: Duration = Duration::from_millis(250);

/// What the stream said.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) database_bytes: u64,
    pub(crate) digest: Digest,
    /// Of the first message; empty before etcd 3.6.
    pub(crate) storage_version: String,
}

pub(crate) async fn receive<S, E>(
    chunks: S,
    writer: &mut Writer,
    origin: &Origin,
    options: &SaveOptions,
) -> Result<Received>
where
    S: Stream<Item = Result<Chunk, E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut chunks = pin!(chunks);
    let mut protocol = Protocol::default();
    let mut storage_version = String::new();
    let mut buffer = Vec::with_capacity(BUFFER);
    tell(options.observer(), &Event::Started(Phase::Receive))?;
    let located = |e: Error| match &origin.endpoint {
        Some(endpoint) => e.with_endpoint(endpoint.clone()),
        None => e,
    };

    while let Some(item) = next(chunks.as_mut(), writer, &protocol, origin, options)
        .await
        .map_err(located)?
    {
        let chunk = item.map_err(|e| located(broke_off(&protocol, e)))?;
        let begins = protocol.total().is_none();
        let part = protocol.take(&chunk).map_err(located)?;
        if begins {
            storage_version = chunk.version;
            if let Some(total) = protocol.total() {
                writer.reserve(total).await?;
            }
        }
        if part == Part::Digest {
            continue;
        }
        let mut rest = chunk.blob.as_slice();
        while !rest.is_empty() {
            let room = BUFFER.saturating_sub(buffer.len()).min(rest.len());
            let (now, later) = rest.split_at(room);
            buffer.extend_from_slice(now);
            rest = later;
            if buffer.len() == BUFFER {
                buffer = hand_over(buffer, writer, &protocol, rest.len(), options).await?;
                buffer.reserve_exact(BUFFER);
            }
        }
    }
    let digest = protocol.finish().map_err(located)?;
    hand_over(buffer, writer, &protocol, 0, options).await?;
    Ok(Received {
        database_bytes: protocol.received(),
        digest,
        storage_version,
    })
}

/// Gives a buffer for what comes next.
async fn hand_over(
    buffer: Vec<u8>,
    writer: &mut Writer,
    protocol: &Protocol,
    not_yet_bytes: usize,
    options: &SaveOptions,
) -> Result<Vec<u8>> {
    let emptied = writer.write(buffer).await?;
    let done_bytes = protocol.received().saturating_sub(not_yet_bytes as u64);
    tell(
        options.observer(),
        &Event::Progress {
            phase: Phase::Receive,
            done_bytes,
            total_bytes: protocol.total().unwrap_or_default(),
        },
    )?;
    Ok(emptied)
}

/// Waits for the next message, the writer's failure, or the end of patience, whichever comes first.
async fn next<S, T>(
    mut chunks: Pin<&mut S>,
    writer: &mut Writer,
    protocol: &Protocol,
    origin: &Origin,
    options: &SaveOptions,
) -> Result<Option<T>>
where
    S: Stream<Item = T> + Send,
{
    let patience = options.stall_timeout();
    // The clock starts when we begin to wait: what our own disk took before is not the server's silence.
    let mut quiet_since = Instant::now();
    loop {
        let glance = writer
            .has_reader()
            .then(|| Instant::now().checked_add(GLANCE));
        let step = poll_fn(|cx| {
            // A full disk is known before the server, which may be silent, sends more.
            if let Poll::Ready(failure) = writer.poll_failure(cx) {
                return Poll::Ready(Err(failure));
            }
            chunks.as_mut().poll_next(cx).map(Ok)
        });
        let deadline = quiet_since.checked_add(patience);
        let waited = match deadline.into_iter().chain(glance.flatten()).min() {
            Some(until) => timeout_at(until, step).await,
            None => Ok(step.await),
        };
        if let Ok(item) = waited {
            return item;
        }
        // Nobody writes while the server is silent, so nobody would notice.
        if let Some(gone) = writer.reader_is_gone() {
            return Err(gone.with_offset(protocol.received()));
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            match origin.last_arrival() {
                Some(last) if last > quiet_since => quiet_since = last,
                _ => {
                    return Err(Error::new(
                        ErrorKind::Stalled,
                        format!(
                            "the server has sent nothing for {patience:?} ({})",
                            protocol.place()
                        ),
                    )
                    .with_offset(protocol.received()));
                }
            }
        }
    }
}

/// The stream yielded an error: an error of ours keeps its kind, and any error gets the byte. A refusal instead of the
/// first byte is no stream that broke off; it speaks for itself.
fn broke_off<E>(protocol: &Protocol, error: E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    let error: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    let (kind, error) = match error.downcast::<Error>() {
        Ok(error) if protocol.received() == 0 && error.kind() != ErrorKind::Stream => {
            return error.with_offset(0);
        }
        Ok(error) => (error.kind(), error as Box<_>),
        Err(error) => (ErrorKind::Stream, error),
    };
    Error::new(
        kind,
        format!("the snapshot stream broke off {}", protocol.place()),
    )
    .with_offset(protocol.received())
    .with_source(error)
}

/// The stream was asked for, and an error came instead of it.
#[cfg(any(feature = "client", feature = "etcd-client"))]
pub(crate) fn before_the_first_byte(error: Error) -> Error {
    broke_off(&Protocol::default(), error)
}
