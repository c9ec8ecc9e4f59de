//! One step after the other, each in the journal before it begins and when it is done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::ApplyOptions;
use super::journal::{Book, Course, Journal, State};
use crate::observe::{OfLibrary, tell};
use crate::recover::plan::elsewhere::{Watches, afterwards};
use crate::recover::{Action, Recovery, RecoveryReport, RecoveryStep, StopBy};
use crate::{Error, ErrorKind, Event, Result, Root, time};

/// A recovery that this process works on.
pub(super) struct Run<'o> {
    pub(super) options: &'o ApplyOptions,
    book: Book,
    pub(super) journal: Journal,
    started: Instant,
}

/// How a step ends that does not fail.
pub(super) enum Ended {
    Done,
    /// So many members are missing.
    Waiting(usize),
}

impl<'o> Run<'o> {
    pub(super) fn new(options: &'o ApplyOptions, book: Book, journal: Journal) -> Self {
        Self {
            options,
            book,
            journal,
            started: Instant::now(),
        }
    }

    pub(super) fn root(&self) -> &'o Root {
        &self.options.root
    }

    pub(super) fn recovery(&self) -> &Recovery {
        &self.journal.recovery
    }

    /// Where a path of the machine can be opened.
    pub(super) fn on_disk(&self, path: &Path) -> PathBuf {
        self.root().open_as(path)
    }

    pub(super) fn save(&self) -> Result<()> {
        self.book.write(&self.journal)
    }

    /// A journal that was kept, as its recovery was over, gets its name again.
    pub(super) fn reopen(&mut self) -> Result<()> {
        match self.journal.kept_as.take() {
            Some(kept) => self.book.reopen(&kept),
            None => Ok(()),
        }
    }

    pub(super) fn tell(&self, event: &Event) -> Result<()> {
        tell(self.options.observer.as_ref(), event)
    }

    pub(super) fn of_library(&self) -> Arc<OfLibrary> {
        Arc::new(OfLibrary(Arc::clone(&self.options.observer)))
    }

    /// Something that the person should know, now and at the end.
    pub(super) fn note(&mut self, note: impl Into<String>) -> Result<()> {
        let note = note.into();
        if self.journal.facts.notes.contains(&note) {
            return Ok(());
        }
        self.journal.facts.notes.push(note.clone());
        self.tell(&Event::Note(note))
    }

    /// Between two looks.
    pub(super) fn pause(&self, what: &str) -> Result<()> {
        self.tell(&Event::Waiting {
            what: what.to_owned(),
        })?;
        std::thread::sleep(self.options.pause);
        Ok(())
    }

    /// The steps of the plan, from the first that is not done.
    pub(super) fn forward(mut self) -> Result<RecoveryReport> {
        if self.journal.state == State::RollingBack {
            return Err(Error::new(
                ErrorKind::Refused,
                "the recovery is being rolled back, and goes only that way any more",
            )
            .with_remedy("`etcd-snap recover --rollback` finishes it"));
        }
        self.journal.state = State::UnderWay;
        self.save()?;
        for step in self.journal.forward.steps.clone() {
            if self.journal.forward.is_done(step.number)
                && !self.journal.forward.must_be_sure(step.action)
            {
                continue;
            }
            let ended = self.step(&step, |run| &mut run.journal.forward, Self::perform)?;
            if let Ended::Waiting(members) = ended {
                return Err(self.waits(members));
            }
        }
        self.others_back().map_err(|e| self.explained(e))?;
        self.close(State::Done)
    }

    fn perform(&mut self, action: Action) -> Result<Ended> {
        match action {
            Action::Verify => self.verify(),
            Action::Stage => self.stage(),
            Action::Stop => self.stop(),
            Action::WaitUntilStopped => self.wait_until_stopped(),
            Action::Swap => self.swap(),
            Action::Change => self.change(),
            Action::Start => self.start(),
            Action::WaitUntilServing => return self.wait_until_serving(),
            Action::Prove => self.prove(),
        }
        .map(|()| Ended::Done)
    }

    /// A step that is noted before it begins and when it is done. Only then is it told: who dies at that moment finds it in
    /// the journal.
    pub(super) fn step(
        &mut self,
        step: &RecoveryStep,
        course: fn(&mut Self) -> &mut Course,
        perform: impl FnOnce(&mut Self, Action) -> Result<Ended>,
    ) -> Result<Ended> {
        let total = course(self).steps.len();
        let started = Instant::now();
        let attempt = || {
            course(self).begin(step.number);
            self.save()?;
            self.tell(&Event::StepStarted {
                number: step.number,
                total,
                title: step.title.clone(),
            })?;
            let ended = perform(self, step.action)?;
            if let Ended::Waiting(_) = ended {
                return Ok(ended);
            }
            let duration_ms = time::since(started);
            course(self).finish(step.number, duration_ms);
            self.save()?;
            self.tell(&Event::StepDone {
                number: step.number,
                duration_ms,
            })?;
            Ok(ended)
        };
        attempt().map_err(|e| self.explained(e))
    }

    /// The member is restored, and cannot answer.
    fn waits(&mut self, members: usize) -> Error {
        let noted = self.others_back().and_then(|()| {
            self.journal.state = State::Waiting;
            self.save()
        });
        if let Err(e) = noted {
            return self.explained(e);
        }
        let (are, more) = match members {
            1 => ("is", "1 more member"),
            n => ("are", &*format!("{n} more members")),
        };
        let kept = match &self.journal.facts.old_data {
            Some(old) => format!("; the old member is kept as {}", old.display()),
            None => String::new(),
        };
        Error::new(
            ErrorKind::Waiting,
            format!(
                "{} is restored and started, and waits for {more}: it cannot answer until a majority of the new cluster runs{kept}",
                self.recovery().etcd.title(),
            ),
        )
        .with_remedy(format!(
            "recover the other nodes with the same plan; when {more} {are} there, `etcd-snap recover --resume` here proves the cluster, \
             and `etcd-snap recover --rollback` brings back what was there before"
        ))
    }

    /// The recovery is over.
    pub(super) fn close(mut self, state: State) -> Result<RecoveryReport> {
        self.journal.state = state;
        let kept = self
            .book
            .close(&self.journal)
            .map_err(|e| self.explained(e))?;
        let journal = self.journal;
        let mut notes = journal.facts.notes;
        notes.push(format!("what was done is noted in {}", kept.display()));
        let is_back = state == State::RolledBack;
        let afterwards = match is_back {
            false => journal.recovery.afterwards,
            // Nobody has seen anything of the new member.
            true if !journal.forward.has_begun(Action::Start) => Vec::new(),
            true => after_a_way_back(&journal.recovery),
        };
        Ok(RecoveryReport {
            schema: 1,
            waiting_for_members: 0,
            steps: match journal.back {
                Some(back) => back.report(),
                None => journal.forward.report(),
            },
            old_data: journal.facts.old_data.filter(|_| !is_back),
            afterwards,
            notes,
            duration_ms: time::since(self.started),
        })
    }

    /// The error, and how things are.
    pub(super) fn explained(&self, error: Error) -> Error {
        let how = match self.journal.state {
            State::RollingBack => {
                "`etcd-snap recover --rollback` goes on with the way back, from where it has come"
                    .to_owned()
            }
            _ => format!(
                "{}; `etcd-snap recover --resume` goes on from here, `etcd-snap recover --rollback` brings back what was there before",
                self.standing()
            ),
        };
        let remedy = match error.remedy() {
            Some(remedy) => format!("{remedy}; {how}"),
            None => how,
        };
        error.with_remedy(remedy)
    }

    /// What is still as it was.
    fn standing(&self) -> String {
        let recovery = self.recovery();
        let course = &self.journal.forward;
        let old_data = recovery.etcd.host_data_dir().unwrap_or_default();
        let stopped = match &recovery.stop {
            StopBy::Manifests { aside, .. } if self.root().exists(aside) => {
                format!("manifests that were moved out are in {}", aside.display())
            }
            StopBy::Manifests { .. } => "no manifest was moved out".to_owned(),
            StopBy::Unit { unit } => format!("{unit} was stopped"),
        };
        if !course.has_begun(Action::Stop) {
            "etcd is as it was, and so is its data".to_owned()
        } else if !course.has_begun(Action::Swap) && !course.has_begun(Action::Change) {
            format!(
                "the data in {} is as it was, and {stopped}",
                old_data.display()
            )
        } else {
            let kept = match &self.journal.facts.old_data {
                Some(old) => format!("the old member is kept as {}", old.display()),
                None => format!("the old data is in {}", old_data.display()),
            };
            match course.has_begun(Action::Start) {
                true => format!("{kept}, and etcd was started with the new one"),
                false => format!("{kept}, and {stopped}"),
            }
        }
    }
}

/// The revision has gone back, behind what clients have seen of the restored member.
fn after_a_way_back(recovery: &Recovery) -> Vec<String> {
    let stops_components = match &recovery.stop {
        StopBy::Manifests { manifests, .. } => manifests.len() > 1,
        StopBy::Unit { .. } => false,
    };
    let members = recovery.restore.members.len();
    afterwards(&recovery.etcd, stops_components, members, Watches::Left)
}
