//! Chunks from a server become a file that is a backup, or leave for somebody who makes one of them.
//!
//! The future receives, holds every message against the rules of the stream, and hands megabytes to one thread that
//! hashes and writes them into a staged file. When the stream has ended as it should, that thread looks through the whole
//! file and syncs it; then, and only then, the future gives it its name.

mod direct;
#[cfg(test)]
mod faults;
mod options;
mod outlet;
mod protocol;
mod receive;
mod report;
mod target;
mod writer;

use std::time::Instant;

use futures_core::Stream;

pub use options::SaveOptions;
pub use report::{SaveDurations, SaveReport};
pub use target::Target;

#[cfg(any(feature = "client", feature = "etcd-client"))]
pub(crate) use receive::before_the_first_byte;
pub(crate) use report::Origin;

use crate::Result;
use crate::observe::{Event, Phase, tell};
use crate::stream::Chunk;
use outlet::{Outlet, Sink};
use receive::receive;
use writer::Writer;

/// Saves a snapshot from a running cluster: the one call from endpoint to checked file.
///
/// The first endpoint that can be used gives the snapshot, of its own state: no quorum is needed. The bytes go into a
/// hidden file beside the target, which gets the target's name after its digest, its pages and its records have been
/// checked and everything is on the disk. Until then, and after any failure, the target is as it was, and nothing lies
/// beside it; dropping the future ends the transfer and tidies up too.
///
/// A [`Target`] that is a pipe, a device or a writer is written as the bytes come, which proves less, and is not undone: see
/// there.
///
/// Needs a tokio runtime with time and I/O; [`save_blocking`] brings its own.
///
/// # Errors
/// Before anything is sent: `InvalidInput`, `NotFound`, `AccessDenied` or `Occupied` for a target that cannot be written,
/// `Connection` where no endpoint can be used, and `Denied` for a missing right, which it names. Then `Stalled` after a
/// silence, `Stream` where the server breaks the protocol or the connection breaks, each with the byte it was at; `NoSpace`
/// and other failures of the disk, `Io` where nobody reads any more from a pipe; `DigestMismatch` and `Damaged` where what came is no backup; and `Cancelled`.
///
/// ```no_run
/// use etcd_snap::{Cluster, SaveOptions, Tls};
///
/// # async fn example() -> etcd_snap::Result<()> {
/// let tls = Tls::builder()
///     .ca_file("ca.crt")
///     .identity_files("client.crt", "client.key")
///     .build()?;
/// let cluster = Cluster::new(["https://10.0.0.1:2379"])?.with_tls(tls);
/// let saved = etcd_snap::save(&cluster, "backup.db", &SaveOptions::default()).await?;
/// println!("{} bytes, SHA-256 {}", saved.size_bytes, saved.digest);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "client")]
pub async fn save(
    cluster: &crate::Cluster,
    to: impl Into<Target>,
    options: &SaveOptions,
) -> Result<SaveReport> {
    let target = to.into().open(options).await?;
    let started = Instant::now();
    tell(options.observer(), &Event::Started(Phase::Connect))?;
    let (member, status) = crate::client::choose(cluster).await?;
    for note in status.notes(member.endpoint()) {
        tell(options.observer(), &Event::Note(note))?;
    }
    let chunks = member
        .snapshot()
        .await
        .map_err(|e| before_the_first_byte(e).with_endpoint(member.endpoint()))?;
    let origin = Origin {
        arrivals: chunks.arrivals(),
        endpoint: Some(member.endpoint().to_owned()),
        member_id: Some(status.member_id),
        cluster_id: Some(status.cluster_id),
        etcd_version: Some(status.version),
        connect_ms: crate::milliseconds(started),
    };
    run(chunks, target, origin, options).await
}

/// [`save`] for programs without a runtime: it brings its own for as long as it takes, and blocks.
///
/// # Errors
/// As [`save`]; and `InvalidInput` when it is called from within a runtime, which it would hold up.
#[cfg(feature = "client")]
pub fn save_blocking(
    cluster: &crate::Cluster,
    to: impl Into<Target>,
    options: &SaveOptions,
) -> Result<SaveReport> {
    use crate::{Error, ErrorKind};

    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(Error::invalid(
            "save_blocking was called from async code: await save there",
        ));
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(ErrorKind::Io, "cannot start a runtime").with_source(e))?
        .block_on(save(cluster, to, options))
}

/// Saves a snapshot from any stream of chunks, with the same checks: for programs that hold a client of their own.
///
/// The stream is etcd's `Maintenance.Snapshot`, message by message, up to its end (formats.md 3.1). What the stream cannot
/// tell is absent in the report: endpoint, member, cluster and etcd version. Needs a tokio runtime with time.
///
/// # Errors
/// As [`save`], with `Stream` around what the stream itself yields as an error.
pub async fn save_chunks<S, E>(
    chunks: S,
    to: impl Into<Target>,
    options: &SaveOptions,
) -> Result<SaveReport>
where
    S: Stream<Item = Result<Chunk, E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let target = to.into().open(options).await?;
    run(chunks, target, Origin::default(), options).await
}

/// From the first chunk to the report.
pub(crate) async fn run<S, E>(
    chunks: S,
    (mut outlet, sink): (Outlet, Sink),
    origin: Origin,
    options: &SaveOptions,
) -> Result<SaveReport>
where
    S: Stream<Item = Result<Chunk, E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let started = Instant::now();
    let mut writer = Writer::start(sink, origin.name(), options)?;
    let received = receive(chunks, &mut writer, &origin, options).await?;
    let receive_ms = crate::milliseconds(started);

    let checking = Instant::now();
    let checked = writer.finish(received.digest).await?;
    let check_ms = crate::milliseconds(checking);

    let publishing = Instant::now();
    tell(options.observer(), &Event::Started(Phase::Publish))?;
    outlet.publish(options.replace())?;
    Ok(SaveReport::new(
        outlet.into_path(),
        origin,
        received,
        checked,
        [receive_ms, check_ms, crate::milliseconds(publishing)],
    ))
}
