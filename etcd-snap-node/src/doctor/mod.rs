//! Everything that would make tonight's backup or tomorrow's restore fail.
//!
//! ```text
//! machine.rs   the descriptions that discovery made, room on the disks, what was left lying about
//! members.rs   the living members: reach, leader, alarms, quota, free pages, lag, whether they hold the same
//! backups.rs   directories with backups: the newest one's age, and whether it is one
//! ```

mod backups;
mod machine;
mod members;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use etcd_snap::{Cluster, ClusterId, Revision};
use serde::{Deserialize, Serialize};

use crate::observe::{Event, tell};
use crate::recover::STATE_DIRECTORY;
use crate::{Finding, Node, Observer, Result, Root, Severity, Silent};

/// A nightly job that is two hours late is still no reason to get up.
const USUAL_AGE: Duration = Duration::from_secs(26 * 60 * 60);

/// What to look at, and what is still good.
#[derive(Clone)]
pub struct DoctorOptions {
    root: Root,
    now: SystemTime,
    state_directory: PathBuf,
    etcd: Option<String>,
    cluster: Option<Cluster>,
    asks: bool,
    compares: bool,
    timeout: Duration,
    backups: Vec<PathBuf>,
    max_age: Duration,
    proves: bool,
    observer: Arc<dyn Observer>,
}

impl Default for DoctorOptions {
    fn default() -> Self {
        Self {
            root: Root::default(),
            now: SystemTime::now(),
            state_directory: PathBuf::from(STATE_DIRECTORY),
            etcd: None,
            cluster: None,
            asks: true,
            compares: true,
            timeout: Duration::from_secs(5),
            backups: Vec::new(),
            max_age: USUAL_AGE,
            proves: true,
            observer: Arc::new(Silent),
        }
    }
}

impl DoctorOptions {
    /// Where the tree of the machine begins.
    #[must_use]
    pub fn with_root(mut self, root: Root) -> Self {
        self.root = root;
        self
    }

    /// The time by which backups are judged. Now, unless set.
    #[must_use]
    pub fn with_now(mut self, now: SystemTime) -> Self {
        self.now = now;
        self
    }

    /// Where recoveries keep their journal, as the machine knows it. `/var/lib/etcd-snap` unless set.
    #[must_use]
    pub fn with_state_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_directory = directory.into();
        self
    }

    /// Looks only at the etcd of this name, unit or pod.
    #[must_use]
    pub fn with_etcd(mut self, name: impl Into<String>) -> Self {
        self.etcd = Some(name.into());
        self
    }

    /// Asks this cluster, instead of the etcds of the machine.
    #[must_use]
    pub fn with_cluster(mut self, cluster: Cluster) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// Whether members are asked at all. They are, unless set.
    #[must_use]
    pub fn with_asking(mut self, asks: bool) -> Self {
        self.asks = asks;
        self
    }

    /// Whether members are asked for the hash of all they hold, which each of them reads for it. They are, unless set.
    #[must_use]
    pub fn with_comparing(mut self, compares: bool) -> Self {
        self.compares = compares;
        self
    }

    /// The longest that one question to a member of this machine may take. 5 seconds unless set; a hash may take a minute. A cluster that was
    /// [given](Self::with_cluster) has its own.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A directory with backups, in a path that can be opened; may be given several times.
    #[must_use]
    pub fn with_backups(mut self, directory: impl Into<PathBuf>) -> Self {
        self.backups.push(directory.into());
        self
    }

    /// How old the newest backup may be. 26 hours unless set.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Whether the newest backup is read whole and proven. It is, unless set.
    #[must_use]
    pub fn with_proving(mut self, proves: bool) -> Self {
        self.proves = proves;
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

impl std::fmt::Debug for DoctorOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoctorOptions")
            .field("root", &self.root)
            .field("etcd", &self.etcd)
            .field("cluster", &self.cluster)
            .field("asks", &self.asks)
            .field("backups", &self.backups)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// What the doctor looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DoctorReport {
    /// Of this form: 1.
    pub schema: u32,
    /// The name of the machine.
    pub host: Option<String>,
    /// What was looked at, as sentences: nothing found says something only of these.
    pub looked_at: Vec<String>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

impl DoctorReport {
    /// The worst of what was found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

/// What is collected while looking.
#[derive(Debug, Default)]
struct Chart {
    looked_at: Vec<String>,
    findings: Vec<Finding>,
    /// The cluster that answered, and its newest revision.
    living: Option<Living>,
}

/// What a backup can be held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Living {
    cluster_id: ClusterId,
    revision: Revision,
}

impl Chart {
    fn saw(&mut self, what: impl Into<String>) {
        self.looked_at.push(what.into());
    }

    fn add(&mut self, finding: Finding) {
        // Several etcds on one disk say the same of it.
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

/// Looks at the etcds that discovery found, at the members of their cluster, and at directories with backups.
///
/// Changes nothing: no alarm is disarmed, nothing is compacted. Members are asked what any client may ask, and for the hash of what
/// they hold, as [`etcd_snap::attest()`] does. Blocks.
///
/// # Errors
/// Those of [`Node::etcd`] where an etcd was named; `Cancelled`. All else is a finding: what cannot be looked at too.
pub fn doctor(node: &Node, options: &DoctorOptions) -> Result<DoctorReport> {
    let started = Instant::now();
    let observer = options.observer.as_ref();
    let etcds: Vec<_> = match &options.etcd {
        Some(name) => vec![node.etcd(Some(name))?],
        None => node.etcds.iter().collect(),
    };
    let mut chart = Chart::default();

    machine::look(node, &etcds, options, &mut chart);
    if options.asks {
        members::look(&etcds, options, &mut chart)?;
    }
    for directory in &options.backups {
        tell(
            observer,
            &Event::Waiting {
                what: format!("the look into {}", directory.display()),
            },
        )?;
        backups::look(directory, options, &mut chart)?;
    }

    let Chart {
        looked_at,
        mut findings,
        ..
    } = chart;
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(DoctorReport {
        schema: 1,
        host: node.host.clone(),
        looked_at,
        findings,
        duration_ms: crate::time::since(started),
    })
}
