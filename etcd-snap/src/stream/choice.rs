//! Which of several endpoints gives a snapshot, and why the others do not.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::MemberId;

/// Which of several endpoints gives the snapshot.
///
/// All but [`First`](Self::First) ask every endpoint for its status, all at once, and leave out
///
/// * what cannot be reached within the connect timeout, or will not let the user in;
/// * members of another cluster than most of those that answered, or than the first one's where none is in the majority;
/// * learners, members that know no leader, and those for which an alarm CORRUPT is raised;
/// * members that lag: whose applied index is more than 5000 entries behind the newest one that was seen. That is the
///   distance at which a server of etcd itself refuses writes, until it has caught up with what is agreed.
///
/// Whoever has not answered a second after the first one that is fit, or as long again as that one took, is not waited for.
/// A snapshot that fails for a reason of the member's or of the connection's is begun again at the next one that is fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum EndpointPolicy {
    /// The first that can be reached, in the order given, whatever its state.
    First,
    /// A follower that is fit, to spare the leader; else the leader. Among equals the order given counts. Where nobody that
    /// answers knows a leader, one of those is taken all the same, the newest first: the day on which a cluster is lost is
    /// when a snapshot is wanted most. A single endpoint is taken whatever its state.
    #[default]
    Auto,
    /// The leader, and nobody else.
    Leader,
    /// A follower that is fit, and never the leader.
    Follower,
}

/// An endpoint that was given and did not give the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PassedOver {
    /// As it was given.
    pub endpoint: String,
    /// The member behind it, where that is known.
    pub member_id: Option<MemberId>,
    /// Why, for programs.
    pub reason: PassedOverReason,
    /// Why, in a sentence.
    pub message: String,
}

/// Why an endpoint did not give the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PassedOverReason {
    /// It could not be reached, or did not say how it is.
    Unreachable,
    /// It had not answered when others had for a while.
    Slow,
    /// It does not let the user in.
    Denied,
    /// It belongs to another cluster.
    OtherCluster,
    /// It is a learner.
    Learner,
    /// It knows no leader.
    NoLeader,
    /// The cluster takes its data for corrupt.
    Corrupt,
    /// It is behind the others.
    Lagging,
    /// It is the leader, and a follower was to be used.
    Leader,
    /// It is not the leader, which was to be used.
    NotLeader,
    /// It would have done, and an endpoint that comes before it did.
    NotNeeded,
    /// Its snapshot failed.
    Failed,
}

impl PassedOverReason {
    /// Whether something is wrong with the endpoint, rather than another one being better.
    #[must_use]
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Leader | Self::NotLeader | Self::NotNeeded)
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
