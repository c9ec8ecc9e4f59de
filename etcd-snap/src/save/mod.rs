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
mod pattern;
mod protocol;
mod receive;
mod report;
mod target;
mod writer;

use std::time::{Instant, SystemTime};

use futures_core::Stream;

pub use options::{Attest, SaveOptions};
pub use report::{SaveDurations, SaveReport};
pub use target::Target;

#[cfg(any(feature = "client", feature = "etcd-client"))]
pub(crate) use receive::before_the_first_byte;
pub(crate) use report::Origin;

#[cfg(feature = "client")]
use crate::Digest;
use crate::attest::{AttestReport, Unproven};
#[cfg(feature = "client")]
use crate::client::Candidates;
use crate::observe::{Event, Phase, tell};
use crate::stream::Chunk;
use crate::{Error, Result};
use outlet::{Outlet, Sink};
use pattern::Arrival;
use receive::{Received, receive};
use writer::{Checked, Writer};

/// Saves a snapshot from a running cluster: the one call from endpoint to checked file.
///
/// Of several endpoints, [`EndpointPolicy`](crate::EndpointPolicy) chooses the one that gives the snapshot, of its own state:
/// no quorum is needed. When that fails for a reason of the member's or of the connection's, the save begins again at the
/// next one, with a new file; the report says which endpoints did not give the snapshot, and why. The bytes go into a hidden file beside the target, which gets the target's name after its digest, its pages and its records have been
/// checked and everything is on the disk. Until then, and after any failure, the target is as it was, and nothing lies
/// beside it; dropping the future ends the transfer and tidies up too. Only a process that is killed leaves its hidden file,
/// `.NAME.0123456789abcdef.part`, which the next save to the same target removes. Saves to one target at the same time do not
/// meet: each has a file of its own, locked as long as it lives, and the last rename counts.
///
/// A [`Target`] that is a pipe, a device or a writer is written as the bytes come, which proves less, and is not undone: see
/// there. Once its stream is open, no other endpoint is tried.
///
/// Needs a tokio runtime with time and I/O; [`save_blocking`] brings its own.
///
/// # Errors
/// Before anything is sent: `InvalidInput`, `NotFound`, `AccessDenied` or `Occupied` for a target that cannot be written,
/// `Connection` where no endpoint can be reached, `Server` where none of them is fit, `NoSpace` where the database that the
/// member reports would not fit, and `Denied` for a missing right, which it names. Then `Stalled` after a
/// silence, `Stream` where the server breaks the protocol or the connection breaks, each with the byte it was at; `NoSpace`
/// and other failures of the disk, `Io` where nobody reads any more from a pipe; `DigestMismatch` and `Damaged` where what came is no backup; `Unproven` where
/// [`with_attest`](SaveOptions::with_attest) was asked for and the members do not bear it out; and `Cancelled`.
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
    let mut place = to.into().open(options).await?;
    let started = Instant::now();
    tell(options.observer(), &Event::Started(Phase::Connect))?;
    for note in cluster.tls().into_iter().flat_map(crate::Tls::notes) {
        tell(options.observer(), &Event::Note(note.to_owned()))?;
    }
    let mut candidates = Candidates::find(cluster, options.endpoint_policy()).await?;
    let (outlet, mut origin, arrived) = loop {
        let (member, status) = candidates.next().await?;
        let notes = status.notes(member.endpoint());
        for note in candidates.news().into_iter().chain(notes) {
            tell(options.observer(), &Event::Note(note))?;
        }
        let failure = match begin(&member, &status, &place.0).await {
            Ok(chunks) => {
                let (outlet, sink) = place;
                let origin = Origin {
                    arrivals: chunks.arrivals(),
                    endpoint: Some(member.endpoint().to_owned()),
                    member_id: Some(status.member_id),
                    cluster_id: Some(status.cluster_id),
                    etcd_version: Some(status.version.clone()),
                    passed_over: Vec::new(),
                    connect_ms: crate::milliseconds(started),
                };
                outlet.expect(&origin, options)?;
                match arrive(chunks, sink, &origin, options).await {
                    Ok(arrived) => break (outlet, origin, arrived),
                    Err(e) if candidates.may_follow(&e) => {
                        let Some(again) = outlet.again(options)? else {
                            tell(options.observer(), &Event::Note(HAS_LEFT.to_owned()))?;
                            return Err(e);
                        };
                        place = again;
                        e
                    }
                    Err(e) => return Err(candidates.give_up(member.endpoint(), &status, e)),
                }
            }
            Err(e) => e,
        };
        candidates.failed(member.endpoint(), &status, failure)?;
    };
    origin.passed_over = candidates.into_passed_over();
    let attest = match options.attest() {
        Attest::No => None,
        _ => Some(ask_members(cluster, &outlet, &origin, &arrived, options).await?),
    };
    conclude(outlet, origin, arrived, attest, options)
}

#[cfg(feature = "client")]
const HAS_LEFT: &str =
    "a part of the snapshot has left already, so it cannot be begun again at another endpoint";

/// Opens the stream, once it is clear that there is room for what comes.
#[cfg(feature = "client")]
async fn begin(
    member: &crate::client::Member,
    status: &crate::client::MemberStatus,
    outlet: &Outlet,
) -> Result<crate::client::SnapshotStream> {
    if status.database_bytes > 0 {
        let bytes = status.database_bytes.saturating_add(Digest::LEN as u64);
        outlet.require_room(bytes)?;
    }
    member
        .snapshot()
        .await
        .map_err(|e| before_the_first_byte(e).with_endpoint(member.endpoint()))
}

/// Compares what has arrived with what the members of its cluster hold.
#[cfg(feature = "client")]
async fn ask_members(
    cluster: &crate::Cluster,
    outlet: &Outlet,
    origin: &Origin,
    arrived: &Arrived,
    options: &SaveOptions,
) -> Result<AttestReport> {
    let Outlet::Staged { staged, .. } = outlet else {
        return Err(not_to_be_attested());
    };
    let source = std::sync::Arc::clone(staged.file());
    let snapshot = crate::Snapshot::from_source(origin.name(), source)?;
    let mut attest = crate::AttestOptions::default().with_observer(options.share_observer());
    if let Some(contents) = &arrived.checked.contents {
        attest = attest.with_contents(contents.clone());
    }
    if let Some(cluster_id) = origin.cluster_id {
        attest = attest.with_cluster_id(cluster_id);
    }
    crate::attest(&snapshot, cluster, &attest).await
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
    crate::client::block_on("save", save(cluster, to, options))
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

/// From the first chunk to the report, where there is no cluster to ask.
pub(crate) async fn run<S, E>(
    chunks: S,
    (outlet, sink): (Outlet, Sink),
    origin: Origin,
    options: &SaveOptions,
) -> Result<SaveReport>
where
    S: Stream<Item = Result<Chunk, E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    if options.attest() != Attest::No {
        return Err(Error::invalid(
            "a stream of chunks leads to no members that could be asked: save it without, and attest the file",
        ));
    }
    outlet.expect(&origin, options)?;
    let arrived = arrive(chunks, sink, &origin, options).await?;
    conclude(outlet, origin, arrived, None, options)
}

/// What was written directly has left before anybody could be asked of it.
fn not_to_be_attested() -> Error {
    Error::invalid(
        "what is written to a pipe or a device has left before the members can be asked: attest a file",
    )
}

/// There is nothing that a manifest could lie beside.
fn no_place_for_manifest() -> Error {
    Error::invalid(
        "a pipe or a device has no place for a manifest beside it: save to a file, or without",
    )
}

/// A snapshot that is whole, checked and on the disk, and has no name yet; or one that has left.
pub(crate) struct Arrived {
    received: Received,
    checked: Checked,
    receive_ms: u64,
    check_ms: u64,
}

async fn arrive<S, E>(
    chunks: S,
    sink: Sink,
    origin: &Origin,
    options: &SaveOptions,
) -> Result<Arrived>
where
    S: Stream<Item = Result<Chunk, E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let started = Instant::now();
    // What is written directly may wait for ever for somebody who reads.
    let lets_go = matches!(sink, Sink::Staged { .. });
    let mut writer = Writer::start(sink, origin.name(), options)?;
    let received = match receive(chunks, &mut writer, origin, options).await {
        Ok(received) => received,
        Err(e) => {
            if lets_go {
                writer.stop().await;
            }
            return Err(e);
        }
    };
    let receive_ms = crate::milliseconds(started);

    let checking = Instant::now();
    let checked = writer.finish(received.digest).await?;
    Ok(Arrived {
        received,
        checked,
        receive_ms,
        check_ms: crate::milliseconds(checking),
    })
}

/// Gives the file its name, unless the members are against it.
fn conclude(
    mut outlet: Outlet,
    origin: Origin,
    arrived: Arrived,
    attest: Option<AttestReport>,
    options: &SaveOptions,
) -> Result<SaveReport> {
    let arrival = Arrival {
        revision: arrived.checked.contents.as_ref().map(|it| it.revision),
        at: SystemTime::now(),
    };
    outlet.complete(&origin, arrival, options)?;
    if let Some(attest) = &attest
        && !options.attest().is_content_with(attest)
    {
        return Err(unproven(&mut outlet, &origin, attest, options));
    }
    let publishing = Instant::now();
    tell(options.observer(), &Event::Started(Phase::Publish))?;
    outlet.publish(options.replace())?;
    if attest.is_some() && options.keep_unproven() {
        outlet.forget_unproven(options);
    }
    let report = SaveReport::new(
        outlet.into_path(),
        origin,
        arrived,
        attest,
        arrival.at,
        crate::milliseconds(publishing),
    );
    match report.write_manifest(options) {
        Err(e) if options.manifest() => return Err(e),
        Err(e) => tell(options.observer(), &Event::Note(e.chain())).unwrap_or_default(),
        Ok(()) => {}
    }
    Ok(report)
}

/// Why there is no file, or one of another name.
fn unproven(
    outlet: &mut Outlet,
    origin: &Origin,
    attest: &AttestReport,
    options: &SaveOptions,
) -> Error {
    let unproven = Unproven::new(attest.clone());
    let what = origin.name();
    let Outlet::Staged { staged, .. } = outlet else {
        return unproven.into_error(&what, "");
    };
    if !options.keep_unproven() {
        return unproven.into_error(&what, "");
    }
    let path = target::unproven(staged.target());
    let published = staged.publish_as(&path);
    let unproven = if staged.is_published() {
        unproven.kept_as(&path)
    } else {
        unproven
    };
    let fate = match published {
        Ok(()) => format!("; it is kept as {}", path.display()),
        Err(e) => format!("; keeping it failed: {}", e.chain()),
    };
    unproven.into_error(&what, &fate)
}
