//! The way back, with steps and a journal of its own, so that it too can be stopped at any point.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use etcd_snap::api::messages::StatusResponse;
use etcd_snap::{SwapOptions, UndoOptions, is_half_changed, swap_member, undo_restore};

use super::journal::{Course, State};
use super::members::Answer;
use super::run::{Ended, Run};
use crate::recover::{Action, RecoveryReport, RecoveryStep, RecoveryTarget, StopBy};
use crate::{Error, ErrorKind, Result, disk, time};

impl Run<'_> {
    /// Everything is as it was before.
    pub(super) fn back(mut self) -> Result<RecoveryReport> {
        if self.journal.back.is_none() {
            self.require_way_back()?;
            self.reopen()?;
            let steps = self.way_back();
            self.journal.back = Some(Course::of(steps));
        }
        self.journal.state = State::RollingBack;
        self.save()?;
        let steps = self.course().steps.clone();
        for step in steps {
            let course = self.course();
            if !course.is_done(step.number) || course.must_be_sure(step.action) {
                self.step(&step, Self::course, Self::perform_back)?;
            }
        }
        self.close(State::RolledBack)
    }

    /// What would only be found when etcd is stopped: until then nothing is changed, and the recovery stays what it is.
    fn require_way_back(&self) -> Result<()> {
        let begun = |action| self.journal.forward.has_begun(action);
        if begun(Action::Swap) {
            self.require_old_member()?;
        }
        if begun(Action::Change) {
            self.require_changes_known()?;
        }
        if begun(Action::Stop) {
            let manifests = self.etcd_last();
            for manifest in manifests.iter().filter(|it| self.is_etcds(it)) {
                self.place_of(manifest)?;
            }
        }
        Ok(())
    }

    /// The old member is where it was put, and is the newest.
    fn require_old_member(&self) -> Result<()> {
        let (RecoveryTarget::InPlace { data_dir, .. }, Some(old)) =
            (&self.recovery().target, &self.journal.facts.old_data)
        else {
            return Ok(());
        };
        let place = self.place();
        if !self.root().exists(old) {
            // An earlier run may have put it back.
            if !self.is_new(place.data_dir()) || is_half_changed(place.data_dir())? {
                return Ok(());
            }
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the old member is gone: {} is not there", old.display()),
            )
            .with_path(old)
            .with_remedy("bring it back to that place; this run has changed nothing"));
        }
        match self.newest_old(data_dir) {
            Some(newest) if newest != *old => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "the old member is {}, and there is a newer one, {}: somebody has restored to {} since",
                    old.display(),
                    newest.display(),
                    data_dir.display()
                ),
            )
            .with_remedy(format!(
                "if {} is the one that is to come back, move the other one away",
                old.display()
            ))),
            _ => Ok(()),
        }
    }

    fn course(&mut self) -> &mut Course {
        self.journal.back.get_or_insert_default()
    }

    /// Only what was begun is taken back.
    fn way_back(&self) -> Vec<RecoveryStep> {
        let begun = |action| self.journal.forward.has_begun(action);
        let is_changed = begun(Action::Swap) || begun(Action::Change) || begun(Action::Start);
        let mut steps: Vec<(Action, String)> = Vec::new();
        if is_changed {
            let (stop, _) = self.stop_and_start();
            steps.push((Action::Stop, stop));
            steps.push((
                Action::WaitUntilStopped,
                "wait until nobody listens at its ports and the lock of its database is free"
                    .into(),
            ));
        }
        if begun(Action::Swap) {
            steps.push((Action::Swap, "put the old member back".into()));
        }
        if begun(Action::Change) {
            steps.push((
                Action::Change,
                "give files the content that they had".into(),
            ));
        }
        if begun(Action::Stop) {
            let (_, start) = self.stop_and_start();
            steps.push((Action::Start, start));
        }
        // etcd does not wait for it, but may need the room.
        if begun(Action::Stage) {
            steps.push((Action::Stage, "remove what was made aside".into()));
        }
        if begun(Action::Stop) {
            steps.push((
                Action::WaitUntilServing,
                "wait until etcd serves, if it did before".into(),
            ));
        }
        let numbered = steps.into_iter().enumerate();
        numbered
            .map(|(n, (action, title))| RecoveryStep {
                number: n + 1,
                action,
                title,
                by_hand: Vec::new(),
            })
            .collect()
    }

    fn stop_and_start(&self) -> (String, String) {
        match &self.recovery().stop {
            StopBy::Unit { unit } => (format!("stop {unit}"), format!("start {unit}")),
            StopBy::Manifests { directory, .. } => (
                format!("move the manifests out of {}", directory.display()),
                format!("put the manifests back into {}", directory.display()),
            ),
        }
    }

    fn perform_back(&mut self, action: Action) -> Result<Ended> {
        match action {
            Action::Stop => self.stop_all(),
            Action::WaitUntilStopped => self.wait_until_stopped(),
            Action::Swap => self.swap_back(),
            Action::Change => self.change_back(),
            Action::Stage => self.unstage(),
            Action::Start => self.start_again(),
            Action::WaitUntilServing => self.wait_until_as_before(),
            Action::Verify | Action::Prove => Ok(()),
        }
        .map(|()| Ended::Done)
    }

    /// The old member is in its place again, wherever the swap, or an earlier way back, has come to.
    fn swap_back(&mut self) -> Result<()> {
        let RecoveryTarget::InPlace {
            data_dir, wal_dir, ..
        } = self.recovery().target.clone()
        else {
            return Ok(());
        };
        let place = self.place();
        match self.journal.facts.had_member {
            // Nothing was renamed before that was noted.
            None => return Ok(()),
            Some(false) => return self.move_out(),
            Some(true) => {}
        }
        // What was looked at before the first step, and is gone, has been put back.
        let is_there = |old: &PathBuf| self.root().exists(old);
        if self.journal.facts.old_data.as_ref().is_some_and(is_there) {
            self.require_old_member()?;
        }
        let is_swapped = match &self.journal.facts.old_data {
            Some(old) => self.root().exists(old),
            None => {
                !self.staged().data_dir().join("member").exists() && self.is_new(place.data_dir())
            }
        };
        if !is_swapped && !is_half_changed(place.data_dir())? {
            return Ok(());
        }
        let mut options = UndoOptions::default()
            .with_earlier(self.earlier(&data_dir))
            .with_observer(self.of_library());
        if let Some(wal_dir) = &wal_dir {
            options = options.with_wal_dir(self.on_disk(wal_dir));
        }
        let report = undo_restore(place.data_dir(), &options)?;
        for note in report.notes {
            self.note(note)?;
        }
        if let Some(name) = report
            .set_aside
            .as_ref()
            .and_then(|aside| aside.file_name())
        {
            self.note(format!(
                "the restored member is kept as {}",
                data_dir.join(name).display()
            ))?;
        }
        Ok(())
    }

    /// There was no member before: the new one is moved aside.
    fn move_out(&mut self) -> Result<()> {
        let (staged, place) = (self.staged(), self.place());
        if is_half_changed(place.data_dir())? {
            // What was stopped in the middle is done first.
            let options = SwapOptions::default().with_observer(self.of_library());
            swap_member(&staged, &place, &options)?;
        }
        let member = place.data_dir().join("member");
        if staged.data_dir().join("member").exists() || !member.exists() {
            return Ok(());
        }
        let stamp = time::stamp(SystemTime::now());
        let aside = place.data_dir().join(format!("member.undone-{stamp}"));
        if let Some(wal) = place.wal_dir() {
            let into = wal.join(format!("wal.undone-{stamp}"));
            disk::make_directory(&into, 0o700)?;
            for segment in segments(wal)? {
                disk::rename_new(&wal.join(&segment), &into.join(&segment))?;
            }
        }
        disk::rename_new(&member, &aside)?;
        self.note(format!(
            "the restored member is kept as member.undone-{stamp} in its data directory"
        ))
    }

    /// What was made aside, and in a new data directory what no server has used yet.
    fn unstage(&mut self) -> Result<()> {
        if let RecoveryTarget::NewDataDir { data_dir } = &self.recovery().target
            && self.journal.forward.has_begun(Action::Start)
        {
            let note = format!(
                "the restored member is kept in {}, which nothing uses any more",
                data_dir.display()
            );
            return self.note(note);
        }
        if !self.journal.facts.is_staging {
            return Ok(());
        }
        match self.remove_staged() {
            Err(e) if e.kind() == ErrorKind::Refused => self.note(format!("{e}: it is left alone")),
            removed => removed,
        }
    }

    /// All manifests are what and where they were, etcd's first; or the unit runs.
    fn start_again(&mut self) -> Result<()> {
        // What cannot be put back keeps nothing else from it.
        let started = self.start();
        self.others_back().and(started)
    }

    /// Nothing more can be done about it here, and so it is no failure that would be met again and again.
    fn compare_cluster(&mut self, status: &StatusResponse) -> Result<()> {
        let found = status.header.map(|it| it.cluster_id);
        match (found, self.journal.facts.served_cluster_id) {
            (Some(found), Some(before)) if found != before => self.note(format!(
                "etcd serves, and is a member of the cluster {found:x}, where it was one of {before:x} before: it does not run on what was \
                 put back; look at what starts it, and with which data directory"
            )),
            _ => Ok(()),
        }
    }

    /// An etcd that did not serve before is not waited for: it may be why there was a recovery.
    fn wait_until_as_before(&mut self) -> Result<()> {
        let until = Instant::now() + self.options.start_timeout;
        if self.journal.facts.served != Some(true) {
            return self
                .note("etcd is started again; it is not waited for, as it did not serve before");
        }
        loop {
            let last = match self.ask()? {
                Answer::Serves(status) => return self.compare_cluster(&status),
                Answer::NoLeader(why) => format!("it listens, and has no leader: {why}"),
                Answer::Closed(why) => why,
            };
            if Instant::now() > until {
                return Err(Error::new(
                    ErrorKind::Late,
                    format!(
                        "all is as it was, and etcd does not serve within {}: {last}",
                        humantime::format_duration(self.options.start_timeout)
                    ),
                ));
            }
            self.pause(&format!("etcd does not serve yet: {last}"))?;
        }
    }
}

fn segments(wal: &std::path::Path) -> Result<Vec<std::ffi::OsString>> {
    let failed = |e| Error::io("look into", wal, e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(wal).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name.to_string_lossy().ends_with(".wal") {
            names.push(name);
        }
    }
    Ok(names)
}
