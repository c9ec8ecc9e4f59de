//! The new member is made aside.

use std::path::{Path, PathBuf};

use etcd_snap::{
    HashKv, HashKvOptions, MemberTarget, Owner, Snapshot, hash_kv, restore, snapshot_members,
};

use super::Run;
use crate::recover::RecoveryTarget;
use crate::recover::apply::checks::require_snapshot;
use crate::{Error, ErrorKind, Result, disk};

impl Run<'_> {
    /// The member is made, whole or not at all. One that a run has made which died behind that is taken if it is sound.
    pub(in super::super) fn stage(&mut self) -> Result<()> {
        let target = self.staged();
        let home = target.data_dir();
        if home.join("member").symlink_metadata().is_ok() {
            if !self.journal.facts.is_staging {
                return Err(foreign(home));
            }
            match self.inspect(home) {
                Ok(expected) => {
                    self.journal.facts.expected = Some(expected);
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Cancelled => return Err(e),
                Err(_) => self.remove_staged()?,
            }
        }
        if !self.journal.facts.is_staging {
            self.journal.facts.is_staging = true;
            self.journal.facts.had_home = home.symlink_metadata().is_ok();
            self.save()?;
        }
        self.make_home(home)?;
        let recovery = self.recovery();
        // The name may be that of another snapshot by now: what is looked at here is what is restored.
        let snapshot = Snapshot::open(&recovery.snapshot)?;
        require_snapshot(recovery, &snapshot)?;
        let mut options = recovery.restore.options()?.with_observer(self.of_library());
        if let Some(owner) = self.owner()? {
            options = options.with_owner(owner);
        }
        let cluster = recovery.restore.cluster()?;
        restore(&snapshot, &cluster, std::slice::from_ref(&target), &options)?;
        self.journal.facts.expected = Some(self.inspect(target.data_dir())?);
        Ok(())
    }

    /// Where it is made, in paths that can be opened.
    pub(in super::super) fn staged(&self) -> MemberTarget {
        let name = &self.recovery().member;
        match &self.recovery().target {
            RecoveryTarget::InPlace {
                staged, staged_wal, ..
            } => {
                let target = MemberTarget::new(name, self.on_disk(staged));
                match staged_wal {
                    Some(wal) => target.with_wal_dir(self.on_disk(wal)),
                    None => target,
                }
            }
            RecoveryTarget::NewDataDir { data_dir } => {
                MemberTarget::new(name, self.on_disk(data_dir))
            }
        }
    }

    fn owner(&self) -> Result<Option<Owner>> {
        let owner = self.recovery().owner.as_deref();
        Ok(owner.map(Owner::parse).transpose()?)
    }

    /// The directory that it is made in has the owner and the label of the data that is there: what is made inside takes after it.
    fn make_home(&self, home: &Path) -> Result<()> {
        // A run may have died before it could give it away.
        let mut homes = vec![home.to_owned()];
        let mut next = home.parent();
        while let Some(directory) = next.filter(|directory| !directory.exists()) {
            homes.push(directory.to_owned());
            next = directory.parent();
        }
        disk::make_directory(home, 0o700)?;
        let like = self.like();
        for directory in homes {
            if let Some(like) = &like {
                disk::own_like(&directory, like)?;
            }
            if let Some(owner) = self.owner()? {
                disk::own(&directory, owner.uid(), owner.gid())?;
            }
        }
        Ok(())
    }

    /// What has the say about owner and label.
    fn like(&self) -> Option<PathBuf> {
        let data_dir = self.recovery().etcd.host_data_dir().ok()?;
        let data_dir = self.on_disk(&data_dir);
        let known = [data_dir.join("member"), data_dir];
        known.into_iter().find(|path| path.is_dir())
    }

    /// Reads it to the end: it is whole, and the member of the plan.
    fn inspect(&self, data_dir: &Path) -> Result<HashKv> {
        if !self.is_new(data_dir) {
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "{} holds another member than the planned one",
                    data_dir.display()
                ),
            ));
        }
        let snapshot = Snapshot::open(data_dir.join("member/snap/db"))?;
        let options = HashKvOptions::default().with_observer(self.of_library());
        Ok(hash_kv(&snapshot, &options)?)
    }

    /// Whether the member in a data directory is the new one: its id is made with the token. Others may have come or gone since.
    pub(in super::super) fn is_new(&self, data_dir: &Path) -> bool {
        let recovery = self.recovery();
        let Ok(cluster) = recovery.restore.cluster() else {
            return false;
        };
        let Ok(own) = cluster.member(&recovery.member) else {
            return false;
        };
        let found = Snapshot::open(data_dir.join("member/snap/db"))
            .and_then(|snapshot| snapshot_members(&snapshot));
        found.is_ok_and(|found| found.iter().any(|member| member.member_id == own.id()))
    }

    /// Removes what was made aside.
    pub(in super::super) fn remove_staged(&self) -> Result<()> {
        let target = self.staged();
        if let RecoveryTarget::NewDataDir { .. } = self.recovery().target {
            let home = target.data_dir();
            let member = home.join("member");
            if member.symlink_metadata().is_ok() && !self.is_new(home) {
                return Err(foreign(home));
            }
            disk::remove_tree(&member)?;
            return match self.journal.facts.had_home {
                true => Ok(()),
                false => disk::remove_empty_directory(home),
            };
        }
        disk::remove_tree(target.data_dir())?;
        match target.wal_dir() {
            Some(wal) => disk::remove_tree(wal),
            None => Ok(()),
        }
    }
}

fn foreign(home: &Path) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!(
            "{} holds a member that this recovery has not made",
            home.display()
        ),
    )
    .with_path(home)
    .with_remedy("move it away if nobody needs it")
}
