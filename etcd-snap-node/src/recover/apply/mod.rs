//! A plan is carried out: every step is noted in a journal before it begins and when it is done, so that whoever comes after a crash
//! goes on, or back.
//!
//! ```text
//! checks.rs    what speaks against beginning                 options.rs   how to do it
//! journal.rs   the journal, its lock, finished recoveries    run.rs       one step after the other
//! steps/       what each step does                           members.rs   questions to members
//! back.rs      the way back, with steps of its own           systemctl.rs the one command that is run
//! ```
//!
//! etcd's own manifest is put back by the step that starts it. Those of the API server and its like come back when the member is
//! proven, or waits for other members: an API server that starts before its etcd serves only fails and is held back by kubelet for
//! minutes, and one that writes while its etcd is not proven makes what has to be compared.

mod back;
mod checks;
mod journal;
mod members;
mod options;
mod run;
mod steps;
mod systemctl;

#[cfg(test)]
mod tests;

pub use options::ApplyOptions;

pub(super) use journal::{is_kept, is_open};

use journal::{Book, Journal};
use run::Run;

use super::{Recovery, RecoveryReport};
use crate::Result;

/// Does what was planned, step by step.
///
/// Everything is noted in a journal, `recovery.json` in [the state directory](ApplyOptions::with_state_directory), which stays when a
/// run fails, is stopped, or dies: [`resume_recovery`] goes on from there, [`roll_back_recovery`] brings back what was there
/// before. A recovery that is over is kept as `recovery-TIME.json`.
///
/// Blocks until it is done.
///
/// # Errors
/// Before anything is done: `Refused` where the plan has a finding that keeps it from being applied, or the machine or the snapshot
/// is not as it was when the plan was made; `Unsupported` where somebody else owns this etcd; `InvalidInput` where a unit is to be
/// stopped in a tree that is not this machine's, and no [program](ApplyOptions::with_systemctl) that does it was given; `Busy` where another run is at
/// work, or an earlier one is not finished.
///
/// Later: `Waiting` where the member is restored and started, and cannot answer until more members have come; `Late` where etcd does
/// not stop or start in time; `Refused` where files were changed meanwhile; `Unproven` where a member does not hold what the
/// snapshot holds; `Command`, `Cancelled`, and those of the library and the disk. The
/// [remedy](crate::Error::remedy) says what is still as it was, and how to go on or back.
pub fn apply_recovery(recovery: &Recovery, options: &ApplyOptions) -> Result<RecoveryReport> {
    checks::require_applicable(recovery, options)?;
    let book = Book::open(options, true)?;
    book.require_free()?;
    checks::require_unchanged(recovery, &options.root)?;
    Run::new(options, book, Journal::of(recovery)).forward()
}

/// Goes on where a run has stopped: after the last step that is done.
///
/// After [`Waiting`](crate::ErrorKind::Waiting), on any node of the cluster, it proves the member, and all others that answer.
///
/// # Errors
/// `NotFound` where no recovery is under way; `Refused` where it is being rolled back; and as [`apply_recovery`].
pub fn resume_recovery(options: &ApplyOptions) -> Result<RecoveryReport> {
    let book = Book::open(options, false)?;
    let journal = book.require_unfinished()?;
    options.require_systemctl_for(&journal.recovery.stop)?;
    Run::new(options, book, journal).forward()
}

/// Brings back what was there before: the old member, the files, the manifests byte for byte, and etcd runs again. Of a recovery that
/// is under way, or of the last one, if it has come to its end and was not taken back.
///
/// What the restored member has become is kept as `member.undone-TIME`. A roll-back that has stopped is finished by another one.
///
/// # Errors
/// `NotFound` where there is nothing to take back; and as [`apply_recovery`].
pub fn roll_back_recovery(options: &ApplyOptions) -> Result<RecoveryReport> {
    let book = Book::open(options, false)?;
    let journal = book.require_to_roll_back()?;
    options.require_systemctl_for(&journal.recovery.stop)?;
    Run::new(options, book, journal).back()
}
