//! How to restore, and where to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bump::Bumped;
use super::owner::Owner;
use super::seen::Seen;
use super::version;
use crate::observe::{Observer, Silent};
use crate::{ClusterId, Error, PeerUrls, Result, Revision, StorageVersion};

/// How far the revision is moved ahead, so that clients which saw revisions newer than the snapshot are not misled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Bump {
    /// The store continues at the snapshot's revision.
    #[default]
    None,
    /// By that many revisions, as `etcdutl snapshot restore --bump-revision` does.
    By(u64),
    /// Above this revision, so that a watch that has seen it is cancelled, and above the snapshot's own.
    Above(Revision),
    /// Above all that clients can have seen, with a margin: see [`decide_bump`](crate::decide_bump). All members of the cluster have
    /// to be made at once. Implies [`with_mark_compacted`](RestoreOptions::with_mark_compacted).
    Automatic,
}

/// How to restore.
#[derive(Clone)]
pub struct RestoreOptions {
    pub(super) skip_hash_check: bool,
    pub(super) force_damaged: bool,
    pub(super) bump: Bump,
    pub(super) mark_compacted: bool,
    pub(super) seen: Vec<Seen>,
    pub(super) decided: Option<Bumped>,
    pub(super) old_cluster: Option<ClusterId>,
    pub(super) replace: bool,
    pub(super) owner: Option<Owner>,
    pub(super) dry_run: bool,
    pub(super) drop_alarms: bool,
    pub(super) drop_leases: bool,
    pub(super) squeeze: bool,
    pub(super) target_version: Option<StorageVersion>,
    pub(super) quota_bytes: Option<u64>,
    pub(super) observer: Arc<dyn Observer>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            skip_hash_check: false,
            force_damaged: false,
            bump: Bump::None,
            mark_compacted: false,
            seen: Vec::new(),
            decided: None,
            old_cluster: None,
            replace: false,
            owner: None,
            dry_run: false,
            drop_alarms: false,
            drop_leases: false,
            squeeze: false,
            target_version: None,
            quota_bytes: None,
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
    /// meets them. A digest that does not match is still refused: see [`with_skip_hash_check`](Self::with_skip_hash_check). Does not
    /// go with [`with_squeeze`](Self::with_squeeze) and [`with_drop_leases`](Self::with_drop_leases).
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

    /// Something that tells what clients have seen, for [`Bump::Automatic`]; may be given several times. What is in the data
    /// directories of the targets is looked at without being asked.
    #[must_use]
    pub fn with_seen(mut self, seen: Seen) -> Self {
        self.seen.push(seen);
        self
    }

    /// Moves the revision ahead as [`decide_bump`](crate::decide_bump) has decided it, and marks it as compacted. The report says
    /// where the number came from.
    #[must_use]
    pub fn with_decided_bump(mut self, decided: Bumped) -> Self {
        self.bump = Bump::By(decided.by);
        self.mark_compacted = true;
        self.decided = Some(decided);
        self
    }

    /// The cluster that the snapshot is from, as its [`Manifest`](crate::Manifest) says: a new cluster with the same id is
    /// pointed out.
    #[must_use]
    pub fn with_old_cluster(mut self, id: ClusterId) -> Self {
        self.old_cluster = Some(id);
        self
    }

    /// Replaces the member that is in a data directory. The old `member/` is kept beside the new one, as `member.old-TIME`, and the old
    /// segments of a WAL directory of its own as `NAME.old-TIME` beside it, or `wal.old-TIME` in it where it is a mount point.
    /// [`undo_restore`](crate::undo_restore) puts them back.
    #[must_use]
    pub fn with_replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Whom everything that is made belongs to. Without one: whom that belongs to which is replaced, or the data directory, where
    /// there is one and root is at work.
    #[must_use]
    pub fn with_owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Checks all that can be checked, the digest, the pages and the records of the snapshot included, and writes nothing.
    #[must_use]
    pub fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Leaves out all alarms. They come back with the data otherwise: one of a member that no longer exists blocks writes
    /// until somebody disarms it.
    #[must_use]
    pub fn with_drop_alarms(mut self, drop: bool) -> Self {
        self.drop_alarms = drop;
        self
    }

    /// Leaves out all leases, and all keys that hang on one, with their whole history. A key that had a lease once and has none
    /// now stays. Without it, leases begin anew with their full time to live, and what had expired since the snapshot is back
    /// until then.
    ///
    /// The database is written anew for it, as by [`with_squeeze`](Self::with_squeeze), and the snapshot is read twice more.
    /// The store's revision stays; where the last change is among those left out, a record without a key stands for it, as
    /// after a bump. Of more than 917504 keys that hang on leases a restore says `Unsupported`.
    #[must_use]
    pub fn with_drop_leases(mut self, drop: bool) -> Self {
        self.drop_leases = drop;
        self
    }

    /// Writes only pages that are in use, so that the database is as small as after a defragmentation. The snapshot is read once
    /// more than otherwise.
    #[must_use]
    pub fn with_squeeze(mut self, squeeze: bool) -> Self {
        self.squeeze = squeeze;
        self
    }

    /// Prepares the database for servers of this minor, 3.4 to 3.7. Where the snapshot is of a newer one, its storage version and
    /// cluster version are lowered, or taken away where the older one has none (formats.md 6.3); nobody looks whether there is
    /// data that only newer servers understand. As the snapshot is, unless set.
    #[must_use]
    pub fn with_target_version(mut self, version: StorageVersion) -> Self {
        self.target_version = Some(version);
        self
    }

    /// The `--quota-backend-bytes` that the new members will have, so that the report says whether the database fits. etcd's
    /// own 2 GiB unless set.
    #[must_use]
    pub fn with_quota_bytes(mut self, bytes: u64) -> Self {
        self.quota_bytes = Some(bytes);
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Whether the database is written anew, not copied.
    pub(super) fn rewrites(&self) -> bool {
        self.squeeze || self.drop_leases
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.force_damaged && self.rewrites() {
            return Err(Error::invalid(
                "what is damaged cannot be written anew, as --squeeze and --drop-leases do: leave these out, or --force-damaged",
            ));
        }
        if let Some(target) = self.target_version {
            version::require_known(target)?;
        }
        if self.bump == Bump::Automatic {
            return Ok(());
        }
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
            .field("replace", &self.replace)
            .field("owner", &self.owner)
            .field("dry_run", &self.dry_run)
            .field("drop_alarms", &self.drop_alarms)
            .field("drop_leases", &self.drop_leases)
            .field("squeeze", &self.squeeze)
            .field("target_version", &self.target_version)
            .field("quota_bytes", &self.quota_bytes)
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
    /// The member with this name, into a data directory that is absent or empty, or whose member is replaced.
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
