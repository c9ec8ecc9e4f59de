//! For programs that already hold an [`etcd_client::Client`]: the same save, with the same checks.
//!
//! Feature `etcd-client`. That crate's build script wants `protoc`: the package `protobuf-compiler` of most distributions,
//! or any other that the variable `PROTOC` names.
//!
//! [`etcd_client::Client`]: ::etcd_client::Client

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use ::etcd_client::{Client, SnapshotResponse, SnapshotStreaming};
use futures_core::Stream;

use crate::observe::{Event, Phase, tell};
use crate::save::{Origin, before_the_first_byte, run};
use crate::stream::{Chunk, missing_right};
use crate::{ClusterId, Error, ErrorKind, Result, SaveOptions, SaveReport, Target};

/// How the server is called in sentences: the client does not say which of its endpoints it asks.
const SERVER: &str = "the server";

/// Saves a snapshot through this client.
///
/// A client with several endpoints may put each question to another member. So the report names neither endpoint nor
/// member, and no version; and a client with one endpoint is the way to choose the member.
///
/// The time to connect is the client's own affair; the stall timeout of the options counts for every answer.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = etcd_client::Client::connect(["https://10.0.0.1:2379"], None).await?;
/// let options = etcd_snap::SaveOptions::default();
/// let saved = etcd_snap::etcd_client::save(&mut client, "backup.db", &options).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`save_chunks`](crate::save_chunks); and `Denied` for a missing right, `Server` for other refusals of the server.
pub async fn save(
    client: &mut Client,
    to: impl Into<Target>,
    options: &SaveOptions,
) -> Result<SaveReport> {
    let target = to.into().open(options).await?;
    let started = Instant::now();
    tell(options.observer(), &Event::Started(Phase::Connect))?;
    let status = in_time(options, "report its status", client.status()).await?;
    let cluster_id = status
        .header()
        .map(|header| ClusterId::new(header.cluster_id()));
    let stream = in_time(options, "send a snapshot", client.snapshot())
        .await
        .map_err(before_the_first_byte)?;
    let origin = Origin {
        cluster_id,
        connect_ms: crate::milliseconds(started),
        ..Origin::default()
    };
    run(Refusing(chunks(stream)), target, origin, options).await
}

/// The messages of a stream that was opened elsewhere, for [`save_chunks`](crate::save_chunks).
pub fn chunks(stream: SnapshotStreaming) -> Chunks {
    Chunks(Some(read(stream)))
}

/// A stream of chunks. Made by [`chunks`].
#[must_use = "streams do nothing unless polled"]
pub struct Chunks(Option<Reading>);

type Answer = std::result::Result<Option<SnapshotResponse>, ::etcd_client::Error>;

type Reading = Pin<Box<dyn Future<Output = (SnapshotStreaming, Answer)> + Send>>;

fn read(mut stream: SnapshotStreaming) -> Reading {
    Box::pin(async move {
        let answer = stream.message().await;
        (stream, answer)
    })
}

impl Stream for Chunks {
    type Item = std::result::Result<Chunk, ::etcd_client::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(reading) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let (stream, answer) = ready!(reading.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(match answer {
            Ok(None) => None,
            Err(e) => Some(Err(e)),
            Ok(Some(message)) => {
                self.0 = Some(read(stream));
                let chunk = Chunk::new(message.blob().to_vec(), message.remaining_bytes());
                Some(Ok(chunk.with_version(message.version())))
            }
        })
    }
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks").finish_non_exhaustive()
    }
}

/// Chunks whose errors are ours already: a server may refuse only after it has opened the stream.
struct Refusing(Chunks);

impl Stream for Refusing {
    type Item = Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(item.map(|item| item.map_err(|e| refused("send a snapshot", e))))
    }
}

async fn in_time<T>(
    options: &SaveOptions,
    doing: &str,
    answer: impl Future<Output = std::result::Result<T, ::etcd_client::Error>>,
) -> Result<T> {
    let limit = options.stall_timeout();
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|e| refused(doing, e)),
        Err(_) => Err(Error::new(
            ErrorKind::Stalled,
            format!("{SERVER} did not {doing} within {limit:?}"),
        )),
    }
}

fn refused(doing: &str, error: ::etcd_client::Error) -> Error {
    let ::etcd_client::Error::GRpcStatus(status) = &error else {
        return Error::new(
            ErrorKind::Connection,
            format!("{SERVER} cannot be asked to {doing}"),
        )
        .with_source(error);
    };
    if let Some(sentence) = missing_right(SERVER, None, doing, status.message()) {
        return Error::new(ErrorKind::Denied, sentence).with_detail("message", status.message());
    }
    // What the server says has no cause; what the transport says has.
    if std::error::Error::source(status).is_some() {
        return Error::new(
            ErrorKind::Stream,
            format!("the connection broke when {SERVER} was to {doing}"),
        )
        .with_source(error);
    }
    Error::new(
        ErrorKind::Server,
        format!("{SERVER} did not {doing}: {}", status.message()),
    )
    .with_detail("message", status.message())
}
