//! How to ask.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::{Observer, Silent};
use crate::{ClusterId, Contents};

/// How to ask the members of a cluster for a snapshot.
#[derive(Clone)]
pub struct AttestOptions {
    pub(super) cluster_id: Option<ClusterId>,
    pub(super) contents: Option<Contents>,
    pub(super) answer_timeout: Duration,
    pub(super) observer: Arc<dyn Observer>,
}

impl Default for AttestOptions {
    fn default() -> Self {
        Self {
            cluster_id: None,
            contents: None,
            answer_timeout: Duration::from_secs(600),
            observer: Arc::new(Silent),
        }
    }
}

impl AttestOptions {
    /// The cluster that the snapshot is from, as its [`SaveReport`](crate::SaveReport) has it: members of any other cannot
    /// tell then. Unless set, it is the cluster of the first endpoint that answers.
    #[must_use]
    pub fn with_cluster_id(mut self, cluster_id: ClusterId) -> Self {
        self.cluster_id = Some(cluster_id);
        self
    }

    /// What a verification has just found in the snapshot, a save or [`verify`](crate::verify()): it has the hash that most
    /// members are to be compared with, and the file need not be read again for it.
    #[must_use]
    pub fn with_contents(mut self, contents: Contents) -> Self {
        self.contents = Some(contents);
        self
    }

    /// How long a member may take for its hash, for which it reads all of its keys; that a connection is dead is noticed
    /// sooner. 10 minutes unless set.
    #[must_use]
    pub fn with_answer_timeout(mut self, limit: Duration) -> Self {
        self.answer_timeout = limit;
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

impl fmt::Debug for AttestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttestOptions")
            .field("cluster_id", &self.cluster_id)
            .field("answer_timeout", &self.answer_timeout)
            .finish_non_exhaustive()
    }
}
