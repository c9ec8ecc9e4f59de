//! Every member of a cluster is asked for the hash over its keys, and the file is hashed as that member would have it
//! (formats.md 3.2, 4.2).

mod ask;
mod judge;
mod members;
mod options;
mod position;

use std::sync::Arc;
use std::time::Instant;

pub use options::AttestOptions;

use super::{AttestReport, AttestedMember, CannotTell};
use crate::apart::apart;
use crate::client::together;
use crate::observe::{Event, Phase, tell};
use crate::{Cluster, Error, ErrorKind, Result, Revision, Snapshot};
use ask::ask;
use judge::judge;
use members::{Candidate, find};
use position::Position;

/// Compares a snapshot with the living members of its cluster: each is asked for its hash over all keys at the snapshot's
/// revision, and the same hash is computed from the file, with the compactions that the member has had since.
///
/// All members are asked that the cluster lists, and the endpoints that `cluster` names, each member once; they hash at the
/// same time. Whatever keeps a member from telling is in the report, which holds a verdict on each:
/// [`into_proven`](AttestReport::into_proven) makes one verdict of them. Where auth is enabled, it takes the role `root`.
///
/// What is compared is keys and values, with their history and their leases' ids: what etcd's members compare among
/// themselves. Users, leases and settings are not in it. Nothing is said about the pages either: see
/// [`verify`](crate::verify).
///
/// Needs a tokio runtime with time and I/O; [`attest_blocking`] brings its own. The file is only read.
///
/// # Errors
/// `Damaged` where the file is, and where it cannot be read; `Cancelled` where the observer asked to stop. What goes wrong
/// between us and a member is none: it is in the report.
///
/// ```no_run
/// use etcd_snap::{AttestOptions, Cluster, Snapshot};
///
/// # async fn example() -> etcd_snap::Result<()> {
/// let snapshot = Snapshot::open("backup.db")?;
/// let cluster = Cluster::new(["10.0.0.1:2379"])?;
/// let report = etcd_snap::attest(&snapshot, &cluster, &AttestOptions::default()).await?;
/// for member in &report.members {
///     println!("{member}");
/// }
/// report.into_proven()?;
/// # Ok(())
/// # }
/// ```
pub async fn attest(
    snapshot: &Snapshot,
    cluster: &Cluster,
    options: &AttestOptions,
) -> Result<AttestReport> {
    let started = Instant::now();
    let observer = &options.observer;
    let file = snapshot.clone();
    let position = apart(Arc::clone(observer), move |_| Position::of(&file)).await?;

    tell(observer.as_ref(), &Event::Started(Phase::Attest))?;
    let found = find(cluster, options.cluster_id).await?;
    let asking = found.asking(position.revision);
    tell(observer.as_ref(), &Event::Note(asking))?;
    let asked = found.members.into_iter().map(|candidate| {
        let (position, limit) = (position.clone(), options.answer_timeout);
        async move {
            let answer = match &candidate.reached {
                Ok(reached) => ask(reached, &position, limit).await,
                Err(doubt) => Err(doubt.clone()),
            };
            (candidate, answer)
        }
    });
    let (candidates, answers): (Vec<_>, Vec<_>) = together(asked).await?.into_iter().unzip();

    let (file, at, contents) = (snapshot.clone(), position.clone(), options.contents.clone());
    let verdicts = apart(Arc::clone(observer), move |observer| {
        judge(&file, &at, contents.as_ref(), answers, &observer)
    })
    .await?;

    let known = |candidate: &Candidate| candidate.id.map(|id| position.members.contains(&id));
    let known_members = candidates.iter().filter_map(known).max();
    let members = candidates
        .into_iter()
        .zip(verdicts)
        .map(|(candidate, verdict)| AttestedMember {
            member_id: candidate.id,
            name: candidate.name,
            endpoint: candidate.endpoint,
            verdict,
        })
        .collect::<Vec<_>>();
    Ok(AttestReport {
        schema: 1,
        verdict: AttestReport::verdict_of(&members),
        revision: position.revision,
        compact_revision: position.compact_revision,
        cluster_id: found.cluster_id,
        known_members,
        listed: found.listed,
        members,
        duration_ms: crate::milliseconds(started),
    })
}

/// [`attest`] for programs without a runtime: it brings its own for as long as it takes, and blocks.
///
/// # Errors
/// As [`attest`]; and `InvalidInput` when it is called from within a runtime, which it would hold up.
pub fn attest_blocking(
    snapshot: &Snapshot,
    cluster: &Cluster,
    options: &AttestOptions,
) -> Result<AttestReport> {
    crate::client::block_on("attest", attest(snapshot, cluster, options))
}

/// The hash that a member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    hash: u32,
    compact_revision: Option<Revision>,
}

/// Why a member cannot tell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Doubt {
    reason: CannotTell,
    message: String,
}

impl Doubt {
    fn new(reason: CannotTell, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// One of several that were met on the way to one member. A right that is missing says more than a way that is closed.
    fn all_of(doubts: Vec<Self>) -> Option<Self> {
        let reason = doubts
            .iter()
            .map(|doubt| doubt.reason)
            .find(|reason| *reason != CannotTell::Unreachable)
            .or_else(|| doubts.first().map(|doubt| doubt.reason))?;
        let messages: Vec<_> = doubts.into_iter().map(|doubt| doubt.message).collect();
        Some(Self::new(reason, messages.join("; ")))
    }
}

impl From<&Error> for Doubt {
    fn from(error: &Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::Denied => CannotTell::NoRight,
            ErrorKind::Server => CannotTell::ServerError,
            _ => CannotTell::Unreachable,
        };
        Self::new(reason, error.chain())
    }
}
