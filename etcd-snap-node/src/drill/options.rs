//! How to drill.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use etcd_snap::{Cluster, ClusterId};

use super::conditions::ExpectedCount;
use crate::{Observer, Silent};

/// How to drill, and what has to hold.
#[derive(Clone)]
pub struct DrillOptions {
    pub(super) members: Option<usize>,
    pub(super) etcd: Option<PathBuf>,
    pub(super) scratch: PathBuf,
    pub(super) timeout: Duration,
    pub(super) sample: usize,
    pub(super) expected_keys: Vec<Vec<u8>>,
    pub(super) expected_counts: Vec<ExpectedCount>,
    pub(super) max_age: Option<Duration>,
    pub(super) cluster_id: Option<ClusterId>,
    pub(super) skip_hash_check: bool,
    pub(super) living: Option<Cluster>,
    pub(super) host: Option<String>,
    pub(super) observer: Arc<dyn Observer>,
}

impl Default for DrillOptions {
    fn default() -> Self {
        Self {
            members: None,
            etcd: None,
            scratch: PathBuf::from("/tmp"),
            timeout: Duration::from_secs(120),
            sample: 100,
            expected_keys: Vec::new(),
            expected_counts: Vec::new(),
            max_age: None,
            cluster_id: None,
            skip_hash_check: false,
            living: None,
            host: None,
            observer: Arc::new(Silent),
        }
    }
}

impl DrillOptions {
    /// The most members that are booted on one machine.
    pub const MOST_MEMBERS: usize = 15;

    /// Restores so many members, 1 to [`MOST_MEMBERS`](Self::MOST_MEMBERS). As many as have a vote in the snapshot, unless set.
    #[must_use]
    pub fn with_members(mut self, members: usize) -> Self {
        self.members = Some(members);
        self
    }

    /// Boots this etcd. Without one, only what can be proven offline is.
    #[must_use]
    pub fn with_etcd(mut self, executable: impl Into<PathBuf>) -> Self {
        self.etcd = Some(executable.into());
        self
    }

    /// Makes the scratch directory in this one, which exists. It needs room for a database and 128 MB of each member, and holds all
    /// of the snapshot for the time of the drill, for its owner only. `/tmp` unless set.
    #[must_use]
    pub fn with_scratch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch = directory.into();
        self
    }

    /// How long the members may take to serve, and each of their answers. 2 minutes unless set.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Compares so many keys, by chance, with what the members answer. 100 unless set.
    #[must_use]
    pub fn with_sample(mut self, keys: usize) -> Self {
        self.sample = keys;
        self
    }

    /// A key that has to be there. May be called several times.
    #[must_use]
    pub fn with_expected_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.expected_keys.push(key.into());
        self
    }

    /// How many keys have to begin with something. May be called several times.
    #[must_use]
    pub fn with_expected_count(mut self, count: ExpectedCount) -> Self {
        self.expected_counts.push(count);
        self
    }

    /// How old the snapshot may be.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The cluster that the snapshot has to be from, as the manifest beside it says.
    #[must_use]
    pub fn with_cluster_id(mut self, id: ClusterId) -> Self {
        self.cluster_id = Some(id);
        self
    }

    /// Takes a snapshot without digest too, as the raw copy of a database is.
    #[must_use]
    pub fn with_skip_hash_check(mut self, skip: bool) -> Self {
        self.skip_hash_check = skip;
        self
    }

    /// The cluster that the snapshot is from, which lives: its members are asked what they hold, too.
    #[must_use]
    pub fn with_living_cluster(mut self, cluster: Cluster) -> Self {
        self.living = Some(cluster);
        self
    }

    /// What this machine is called, for the report.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

impl fmt::Debug for DrillOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrillOptions")
            .field("members", &self.members)
            .field("etcd", &self.etcd)
            .field("scratch", &self.scratch)
            .field("timeout", &self.timeout)
            .field("sample", &self.sample)
            .field("expected_counts", &self.expected_counts)
            .field("max_age", &self.max_age)
            .field("cluster_id", &self.cluster_id)
            .field("living", &self.living)
            .finish_non_exhaustive()
    }
}
