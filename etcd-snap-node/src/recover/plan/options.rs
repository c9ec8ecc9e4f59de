//! What is to be planned.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use etcd_snap::{RestoreOptions, RestorePlan, Revision};

use crate::recover::STATE_DIRECTORY;
use crate::{Observer, Root, Silent, time};

/// A backup that is older is pointed out.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);
/// How long each question to a member, or to its port, may take.
const QUESTION: Duration = Duration::from_secs(2);

/// How to recover.
#[derive(Clone)]
pub struct PlanOptions {
    pub(crate) root: Root,
    pub(crate) etcd: Option<String>,
    pub(crate) new_data_dir: Option<PathBuf>,
    pub(crate) given: Option<RestorePlan>,
    pub(crate) plan_file: Option<PathBuf>,
    pub(crate) alone: bool,
    pub(crate) initial_cluster: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) bump: PlannedBump,
    pub(crate) seen: Option<Revision>,
    pub(crate) restore: RestoreOptions,
    pub(crate) force_with_quorum: bool,
    pub(crate) asks: Option<bool>,
    pub(crate) question: Duration,
    pub(crate) old: Duration,
    pub(crate) state_directory: PathBuf,
    pub(crate) now: SystemTime,
    pub(crate) observer: Arc<dyn Observer>,
}

/// How far the revision is moved ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlannedBump {
    Automatic,
    None,
    By(u64),
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            root: Root::default(),
            etcd: None,
            new_data_dir: None,
            given: None,
            plan_file: None,
            alone: false,
            initial_cluster: None,
            token: None,
            bump: PlannedBump::Automatic,
            seen: None,
            restore: RestoreOptions::default(),
            force_with_quorum: false,
            asks: None,
            question: QUESTION,
            old: OLD,
            state_directory: PathBuf::from(STATE_DIRECTORY),
            now: SystemTime::now(),
            observer: Arc::new(Silent),
        }
    }
}

impl PlanOptions {
    /// Plans for the machine whose tree is below this directory. Nobody is asked anything then, unless
    /// [`with_questions`](Self::with_questions) says so.
    #[must_use]
    pub fn with_root(mut self, root: Root) -> Self {
        self.root = root;
        self
    }

    /// The etcd that is meant, by its name, or that of its unit, pod or manifest, where a machine has several.
    #[must_use]
    pub fn with_etcd(mut self, name: impl Into<String>) -> Self {
        self.etcd = Some(name.into());
        self
    }

    /// Makes the member in this directory of the machine, which is absent or empty, and changes what starts etcd to use it, instead of
    /// swapping the member in place.
    #[must_use]
    pub fn with_new_data_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.new_data_dir = Some(directory.into());
        self
    }

    /// What another node has decided: members, token, bump and digest are taken from it, and everything else that says otherwise is
    /// refused.
    #[must_use]
    pub fn with_plan(mut self, plan: RestorePlan) -> Self {
        self.given = Some(plan);
        self
    }

    /// The file that the [`RestorePlan`] is in, or is going to be: what the other nodes are told of. It is neither read nor written
    /// here.
    #[must_use]
    pub fn with_plan_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.plan_file = Some(file.into());
        self
    }

    /// Makes a cluster of this node's member only; all others have to be wiped and to join again.
    #[must_use]
    pub fn with_alone(mut self, alone: bool) -> Self {
        self.alone = alone;
        self
    }

    /// The members of the new cluster, as `--initial-cluster` has them, instead of those in the snapshot.
    #[must_use]
    pub fn with_initial_cluster(mut self, members: impl Into<String>) -> Self {
        self.initial_cluster = Some(members.into());
        self
    }

    /// The word that ids are made with, instead of a fresh one.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Moves the revision so far ahead, 0 for not at all, instead of above all that clients can have seen.
    #[must_use]
    pub fn with_bump(mut self, by: u64) -> Self {
        self.bump = match by {
            0 => PlannedBump::None,
            by => PlannedBump::By(by),
        };
        self
    }

    /// A revision that clients are known to have seen, beside what is found. A [number](Self::with_bump) or a [plan](Self::with_plan)
    /// that does not go beyond it is pointed out.
    #[must_use]
    pub fn with_seen(mut self, revision: Revision) -> Self {
        self.seen = Some(revision);
        self
    }

    /// What of the snapshot is restored, and for which servers. How far the revision moves, where the member goes and whom it belongs to
    /// are the plan's own business. Of no account where another node's [plan](Self::with_plan) is followed.
    #[must_use]
    pub fn with_restore_options(mut self, restore: RestoreOptions) -> Self {
        self.restore = restore;
        self
    }

    /// Recovers though the cluster still has its quorum: the finding `quorum-is-there` is a warning then.
    #[must_use]
    pub fn with_force_with_quorum(mut self, force: bool) -> Self {
        self.force_with_quorum = force;
        self
    }

    /// Whether members, ports and services are asked. Only where the root is this machine, unless set.
    #[must_use]
    pub fn with_questions(mut self, ask: bool) -> Self {
        self.asks = Some(ask);
        self
    }

    /// How long each of these questions may take: 2 s, unless set.
    #[must_use]
    pub fn with_question_timeout(mut self, limit: Duration) -> Self {
        self.question = limit;
        self
    }

    /// The age from which on a snapshot is called old: a day, unless set.
    #[must_use]
    pub fn with_old(mut self, age: Duration) -> Self {
        self.old = age;
        self
    }

    /// Where journals of recoveries are, as the machine knows it: one that is under way is found there.
    #[must_use]
    pub fn with_state_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_directory = directory.into();
        self
    }

    /// The time that directories are named after. Now, unless set.
    #[must_use]
    pub fn with_now(mut self, now: SystemTime) -> Self {
        self.now = now;
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Whether somebody may be asked who is not a file.
    pub(crate) fn asks(&self) -> bool {
        self.asks.unwrap_or_else(|| self.root.is_this_machine())
    }

    /// Like `20261126T011944Z`, as it stands in the names of what is kept.
    pub(crate) fn stamp(&self) -> String {
        time::stamp(self.now)
    }
}
