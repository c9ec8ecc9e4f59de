//! How to carry a recovery out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::recover::{STATE_DIRECTORY, StopBy};
use crate::{Error, ErrorKind, Observer, Result, Root, Silent};

/// Where systemd's own command is.
const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];

/// How to do it.
#[derive(Clone)]
pub struct ApplyOptions {
    pub(super) root: Root,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) state_directory: PathBuf,
    pub(super) systemctl: Option<PathBuf>,
    pub(super) stop_timeout: Duration,
    pub(super) start_timeout: Duration,
    pub(super) quorum_patience: Duration,
    /// Between two looks at what is waited for.
    pub(super) pause: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            root: Root::default(),
            observer: Arc::new(Silent),
            state_directory: PathBuf::from(STATE_DIRECTORY),
            systemctl: None,
            stop_timeout: Duration::from_secs(300),
            start_timeout: Duration::from_secs(600),
            quorum_patience: Duration::from_secs(20),
            pause: Duration::from_millis(300),
        }
    }
}

impl ApplyOptions {
    /// Works in a machine's tree below this directory instead of on this machine: for tests, and for those who try it out.
    #[must_use]
    pub fn with_root(mut self, root: Root) -> Self {
        self.root = root;
        self
    }

    /// Who is told of progress, and may stop the work between steps and while something is waited for. The journal stays then.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Where the journal is, as the machine knows it: `/var/lib/etcd-snap` unless set.
    #[must_use]
    pub fn with_state_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_directory = directory.into();
        self
    }

    /// The program that stops and starts units. systemd's own unless set; a tree that is not this machine's needs one.
    #[must_use]
    pub fn with_systemctl(mut self, program: impl Into<PathBuf>) -> Self {
        self.systemctl = Some(program.into());
        self
    }

    /// How long etcd may take to stop: 5 minutes unless set.
    #[must_use]
    pub fn with_stop_timeout(mut self, limit: Duration) -> Self {
        self.stop_timeout = limit;
        self
    }

    /// How long etcd may take to start and serve: 10 minutes unless set.
    #[must_use]
    pub fn with_start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }

    /// How long a member that listens may have no leader before it counts as waiting for others: 20 seconds unless set.
    #[must_use]
    pub fn with_quorum_patience(mut self, limit: Duration) -> Self {
        self.quorum_patience = limit;
        self
    }

    #[cfg(test)]
    pub(super) fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// What [`apply_recovery`](crate::apply_recovery) refuses of these options before anything else, for whoever prepares it: that
    /// a unit is to be stopped, and no program is known that does it.
    ///
    /// # Errors
    /// `InvalidInput` where the tree is not this machine's, and no program was [given](Self::with_systemctl); `NotFound` where this
    /// machine has none.
    pub fn require_systemctl_for(&self, stop: &StopBy) -> Result<()> {
        match stop {
            StopBy::Unit { .. } => self.systemctl().map(drop),
            StopBy::Manifests { .. } => Ok(()),
        }
    }

    pub(super) fn systemctl(&self) -> Result<PathBuf> {
        if let Some(program) = &self.systemctl {
            return Ok(program.clone());
        }
        if !self.root.is_this_machine() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "{} is not this machine, whose systemd would be asked to stop and start the unit",
                    self.root.directory().display()
                ),
            )
            .with_remedy(
                "run it on the machine itself, or name the program that stands in for its systemctl with --systemctl",
            ));
        }
        let known = SYSTEMCTL.into_iter().find(|path| Path::new(path).exists());
        known.map(PathBuf::from).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no systemctl on this machine, neither {}",
                    SYSTEMCTL.join(" nor ")
                ),
            )
        })
    }
}

impl fmt::Debug for ApplyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplyOptions")
            .field("root", &self.root)
            .field("state_directory", &self.state_directory)
            .field("systemctl", &self.systemctl)
            .field("stop_timeout", &self.stop_timeout)
            .field("start_timeout", &self.start_timeout)
            .field("quorum_patience", &self.quorum_patience)
            .finish_non_exhaustive()
    }
}
