//! How to save.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::attest::{AttestReport, AttestVerdict};
use crate::io::{Disk, Replace, Storage};
use crate::observe::{Observer, Silent};
use crate::stream::EndpointPolicy;

/// Whether a save asks the living members for what it has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Attest {
    /// It asks nobody.
    #[default]
    No,
    /// No member may have anything else. That none can tell is accepted: a cluster may have compacted past the snapshot, or
    /// consist of one member that a proxy hides.
    IfPossible,
    /// One member at least has the same, and none anything else.
    Required,
}

impl Attest {
    pub(crate) fn is_content_with(self, report: &AttestReport) -> bool {
        match report.verdict {
            AttestVerdict::Equal => true,
            AttestVerdict::CannotTell => self != Self::Required,
            AttestVerdict::Differs => self == Self::No,
        }
    }
}

/// How to save.
#[derive(Clone)]
pub struct SaveOptions {
    stall_timeout: Duration,
    endpoint_policy: EndpointPolicy,
    no_clobber: bool,
    attest: Attest,
    keep_unproven: bool,
    manifest: bool,
    observer: Arc<dyn Observer>,
    storage: Arc<dyn Storage>,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            stall_timeout: Duration::from_secs(30),
            endpoint_policy: EndpointPolicy::default(),
            no_clobber: false,
            attest: Attest::No,
            keep_unproven: false,
            manifest: false,
            observer: Arc::new(Silent),
            storage: Arc::new(Disk),
        }
    }
}

impl SaveOptions {
    /// The longest silence of the server in the middle of the transfer. Only time spent waiting for it counts, not the
    /// time that the own disk takes, and any byte of the snapshot ends a silence. 30 seconds unless set.
    #[must_use]
    pub fn with_stall_timeout(mut self, limit: Duration) -> Self {
        self.stall_timeout = limit;
        self
    }

    /// Which of several endpoints gives the snapshot. Only [`save`](crate::save) has endpoints.
    #[must_use]
    pub fn with_endpoint_policy(mut self, policy: EndpointPolicy) -> Self {
        self.endpoint_policy = policy;
        self
    }

    /// Refuses a target that is already there, instead of replacing it in one step at the end. Asked before the transfer,
    /// and again with the final name, so that of two saves to one target only one succeeds. Nothing of a pipe, a character
    /// device or a writer is replaced, so there it changes nothing.
    #[must_use]
    pub fn with_no_clobber(mut self, no_clobber: bool) -> Self {
        self.no_clobber = no_clobber;
        self
    }

    /// Compares the snapshot with the living members before the file gets its name, as `attest` does. A
    /// save that the members do not bear out fails with `Unproven`. Not for [`save_chunks`](crate::save_chunks), which knows no
    /// members.
    #[must_use]
    pub fn with_attest(mut self, attest: Attest) -> Self {
        self.attest = attest;
        self
    }

    /// Keeps a snapshot that the members do not bear out beside the target, under its name and `.unproven`, to look into. What
    /// was there under that name is replaced, and removed by the next save with this option that is borne out: the file is
    /// always of the last save that came so far.
    #[must_use]
    pub fn with_keep_unproven(mut self, keep_unproven: bool) -> Self {
        self.keep_unproven = keep_unproven;
        self
    }

    /// Writes the report beside the snapshot when that has its name, under the same name and `.manifest.json`: a
    /// [`Manifest`](crate::Manifest), which tells a restore where the snapshot is from. One that lies there is replaced. A pipe, a
    /// device or a writer has no place for one.
    ///
    /// Where the manifest cannot be written, the save fails, and the sentence says that the snapshot is there. One that lies there
    /// is written anew without being asked for, as it would speak of another file; that this fails is a note.
    #[must_use]
    pub fn with_manifest(mut self, manifest: bool) -> Self {
        self.manifest = manifest;
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    #[cfg(test)]
    pub(crate) fn with_storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    pub(crate) fn stall_timeout(&self) -> Duration {
        self.stall_timeout
    }

    #[cfg(feature = "client")]
    pub(crate) fn endpoint_policy(&self) -> EndpointPolicy {
        self.endpoint_policy
    }

    pub(crate) fn replace(&self) -> Replace {
        if self.no_clobber {
            Replace::No
        } else {
            Replace::Yes
        }
    }

    pub(crate) fn attest(&self) -> Attest {
        self.attest
    }

    pub(crate) fn keep_unproven(&self) -> bool {
        self.keep_unproven
    }

    pub(crate) fn manifest(&self) -> bool {
        self.manifest
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    pub(crate) fn share_observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.observer)
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }
}

impl fmt::Debug for SaveOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaveOptions")
            .field("stall_timeout", &self.stall_timeout)
            .field("endpoint_policy", &self.endpoint_policy)
            .field("no_clobber", &self.no_clobber)
            .field("attest", &self.attest)
            .field("keep_unproven", &self.keep_unproven)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}
