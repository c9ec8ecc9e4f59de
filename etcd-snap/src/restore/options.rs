//! How to restore, and where to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::observe::{Observer, Silent};
use crate::{Error, PeerUrls, Result, Revision};

/// How far the revision is moved ahead, so that clients which saw revisions newer than the snapshot are not misled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Bump {
    /// The store continues at the snapshot's revision.
    #[default]
    None,
    /// By that many revisions, as `etcdutl snapshot restore --bump-revision` does.
    By(u64),
    /// To the first revision above this one, and above the snapshot's own.
    Above(Revision),
}

/// How to restore.
#[derive(Clone)]
pub struct RestoreOptions {
    pub(super) skip_hash_check: bool,
    pub(super) force_damaged: bool,
    pub(super) bump: Bump,
    pub(super) mark_compacted: bool,
    pub(super) observer: Arc<dyn Observer>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            skip_hash_check: false,
            force_damaged: false,
            bump: Bump::None,
            mark_compacted: false,
            observer: Arc::new(Silent),
        }
    }
}

impl RestoreOptions {
    /// Restores a file without digest, as the raw copy of a stopped member's `db` is, and does not compare one that is
    /// there. Pages and records are checked all the same.
    #[must_use]
    pub fn with_skip_hash_check(mut self, skip: bool) -> Self {
        self.skip_hash_check = skip;
        self
    }

    /// Restores a snapshot all the same whose pages or records are damaged, as far as its meta pages, its root page and the small
    /// buckets can be read; the report lists the damage. What stands on damaged pages is lost, and a server may panic when it
    /// meets them. A digest that does not match is still refused: see [`with_skip_hash_check`](Self::with_skip_hash_check).
    #[must_use]
    pub fn with_force_damaged(mut self, force: bool) -> Self {
        self.force_damaged = force;
        self
    }

    /// Moves the revision ahead. Goes with [`with_mark_compacted`](Self::with_mark_compacted).
    #[must_use]
    pub fn with_bump(mut self, bump: Bump) -> Self {
        self.bump = bump;
        self
    }

    /// Marks all revisions up to the bumped one as compacted, so that watches from before it are cancelled.
    #[must_use]
    pub fn with_mark_compacted(mut self, mark: bool) -> Self {
        self.mark_compacted = mark;
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let bumps = !matches!(self.bump, Bump::None | Bump::By(0));
        if bumps == self.mark_compacted {
            return Ok(());
        }
        Err(Error::invalid(if bumps {
            "a bumped revision must be marked as compacted too (--mark-compacted), or watches that resume would miss events"
        } else {
            "--mark-compacted needs a revision to be bumped (--bump-revision) by 1 or more"
        }))
    }
}

impl fmt::Debug for RestoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreOptions")
            .field("skip_hash_check", &self.skip_hash_check)
            .field("force_damaged", &self.force_damaged)
            .field("bump", &self.bump)
            .field("mark_compacted", &self.mark_compacted)
            .finish_non_exhaustive()
    }
}

/// A member to restore, and where its directories go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberTarget {
    name: String,
    data_dir: PathBuf,
    wal_dir: Option<PathBuf>,
    advertised: Option<PeerUrls>,
}

impl MemberTarget {
    /// The member with this name, into a data directory that is absent or empty.
    ///
    /// An absent one is made, with what is missing above it, mode 0700; an existing one stays as it is, its owner and what is
    /// mounted there too, and gets `member/` inside.
    #[must_use]
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            data_dir: data_dir.into(),
            wal_dir: None,
            advertised: None,
        }
    }

    /// Puts the WAL into a directory of its own, absent or empty, instead of `member/wal`.
    #[must_use]
    pub fn with_wal_dir(mut self, wal_dir: impl Into<PathBuf>) -> Self {
        self.wal_dir = Some(wal_dir.into());
        self
    }

    /// The peer URLs that the member will advertise, which must be those that the cluster gives it.
    #[must_use]
    pub fn with_advertised_peer_urls(mut self, urls: PeerUrls) -> Self {
        self.advertised = Some(urls);
        self
    }

    /// The member's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its data goes.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where its WAL goes, if not into the data directory.
    #[must_use]
    pub fn wal_dir(&self) -> Option<&Path> {
        self.wal_dir.as_deref()
    }

    pub(super) fn advertised(&self) -> Option<&PeerUrls> {
        self.advertised.as_ref()
    }
}
