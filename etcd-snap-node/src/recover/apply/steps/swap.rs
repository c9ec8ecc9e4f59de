//! The new member takes the place of the old one.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use etcd_snap::{MemberTarget, Seen, SwapOptions, is_half_changed, swap_member};

use super::Run;
use crate::recover::RecoveryTarget;
use crate::{Error, ErrorKind, Result};

impl Run<'_> {
    pub(in super::super) fn swap(&mut self) -> Result<()> {
        let RecoveryTarget::InPlace { data_dir, .. } = &self.recovery().target else {
            return Ok(());
        };
        let data_dir = data_dir.clone();
        let (staged, target) = (self.staged(), self.place());
        let taken = !staged.data_dir().join("member").exists();
        if self.journal.facts.had_member.is_none() {
            self.require_nothing_newer(&target)?;
            let member = target.data_dir().join("member");
            self.journal.facts.had_member = Some(member.symlink_metadata().is_ok());
            let earlier = self.kept(&data_dir).into_iter();
            self.journal.facts.earlier = earlier.map(|it| text(&it)).collect();
            self.save()?;
        } else if taken && self.is_new(target.data_dir()) && !is_half_changed(target.data_dir())? {
            // By a run that died before it could say so.
            self.journal.facts.old_data = self.newest_old(&data_dir);
            return Ok(());
        }
        let options = SwapOptions::default().with_observer(self.of_library());
        let report = swap_member(&staged, &target, &options)?;
        // What a report says of a swap that was finished only now is what it finds there.
        self.journal.facts.old_data = self.newest_old(&data_dir);
        for note in report.notes {
            self.note(note)?;
        }
        Ok(())
    }

    /// Where the member goes, in paths that can be opened.
    pub(in super::super) fn place(&self) -> MemberTarget {
        let name = &self.recovery().member;
        match &self.recovery().target {
            RecoveryTarget::InPlace {
                data_dir, wal_dir, ..
            } => {
                let target = MemberTarget::new(name, self.on_disk(data_dir));
                match wal_dir {
                    Some(wal) => target.with_wal_dir(self.on_disk(wal)),
                    None => target,
                }
            }
            RecoveryTarget::NewDataDir { .. } => self.staged(),
        }
    }

    /// The newest old member in a data directory, as the machine knows it, that is there since the swap.
    pub(in super::super) fn newest_old(&self, data_dir: &Path) -> Option<PathBuf> {
        if self.journal.facts.had_member != Some(true) {
            return None;
        }
        let mut old = self.kept(data_dir);
        old.retain(|name| !self.journal.facts.earlier.contains(&text(name)));
        let newest = old.into_iter().max();
        newest.map(|name| data_dir.join(name))
    }

    /// All old members that are not the one of this recovery.
    pub(in super::super) fn earlier(&self, data_dir: &Path) -> Vec<OsString> {
        let mut others = self.kept(data_dir);
        match &self.journal.facts.old_data {
            Some(old) => others.retain(|name| old.file_name() != Some(name)),
            None => others.retain(|name| self.journal.facts.earlier.contains(&text(name))),
        }
        others
    }

    fn kept(&self, data_dir: &Path) -> Vec<OsString> {
        let mut names = self.root().names(data_dir).unwrap_or_default();
        names.retain(|name| text(name).starts_with("member.old-"));
        names
    }

    /// Clients must not have seen what the new member is yet to write.
    fn require_nothing_newer(&mut self, target: &MemberTarget) -> Result<()> {
        if self.recovery().restore.bump_revision == 0
            || !target.data_dir().join("member/snap/db").exists()
        {
            return Ok(());
        }
        let seen = match target.wal_dir() {
            Some(wal) => Seen::of_member(target.data_dir(), wal),
            None => Seen::of_data_dir(target.data_dir()),
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(e) if e.kind() == etcd_snap::ErrorKind::Busy => return Err(e.into()),
            Err(e) => {
                return self.note(format!(
                    "what clients have seen of the old member cannot be told: {e}"
                ));
            }
        };
        let planned = self.recovery().revision;
        if seen.revision <= planned {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "clients of the old member can have seen revision {}, and the new one would begin at {planned}: the plan moves the revision \
                 ahead by {}, which is too little",
                seen.revision,
                self.recovery().restore.bump_revision
            ),
        )
        .with_remedy(
            "roll back, and make a new plan, on all nodes, with a larger --bump-revision",
        ))
    }
}

fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}
