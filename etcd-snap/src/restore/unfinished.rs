//! What a restore that died has left half done: found by its journal, and finished or taken back.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{resolve, topmost_absent};
use crate::data_dir::journal_of_barrier;
use crate::io::{
    Change, Disk, Storage, directory_of, fresh_directories, remove_dead, remove_dead_trees,
};
use crate::{Error, ErrorKind, Result};

const NAME: &str = ".etcd-snap-restore.json";

/// How a change that was begun has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    RestoreFinished,
    RestoreTakenBack,
    UndoFinished,
    UndoTakenBack,
}

/// Where the journal of a change to this data directory goes: into it, or beside what is absent.
pub(super) fn journal_for(data_dir: &Path) -> Result<PathBuf> {
    if data_dir.is_dir() {
        return Ok(data_dir.join(NAME));
    }
    Ok(beside(&topmost_absent(data_dir)?))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(NAME);
    directory_of(path).join(name)
}

/// Where the journal of a change to this data directory can be.
fn journals_of(data_dir: &Path) -> Vec<PathBuf> {
    let mut journals = vec![data_dir.join(NAME)];
    journals.extend(data_dir.ancestors().map(beside));
    journals.extend(journal_of_barrier(data_dir));
    journals
}

/// Finishes or takes back what was begun in a data directory, and says which.
///
/// # Errors
/// `Busy` where another run is at it, and what keeps a journal from being followed.
pub(super) fn settle(
    storage: &Arc<dyn Storage>,
    data_dir: &Path,
) -> Result<Option<(Ended, String)>> {
    for journal in journals_of(data_dir) {
        let Some(change) = Change::find(storage, &journal)? else {
            continue;
        };
        let said = |what: &str| {
            format!(
                "a {} of {} that was stopped was {what} ({})",
                if change.undoes() {
                    "restore --undo"
                } else {
                    "restore"
                },
                data_dir.display(),
                journal.display()
            )
        };
        if change.is_decided()? {
            change.finish()?;
            let ended = if change.undoes() {
                Ended::UndoFinished
            } else {
                Ended::RestoreFinished
            };
            return Ok(Some((ended, said("finished"))));
        }
        change.take_back()?;
        let ended = if change.undoes() {
            Ended::UndoTakenBack
        } else {
            Ended::RestoreTakenBack
        };
        return Ok(Some((ended, said("taken back"))));
    }
    // Of a run that was killed behind its last rename little is left, and the next one is refused.
    for journal in journals_of(data_dir) {
        tidy(storage.as_ref(), &journal);
    }
    for place in data_dir
        .ancestors()
        .chain([data_dir.join("member").as_path()])
    {
        if place.file_name().is_some() && place.exists() {
            remove_dead_trees(storage.as_ref(), place);
        }
    }
    Ok(None)
}

/// Removes what runs that died left of a journal that they had not yet begun with, or were done with. Says which files.
pub(super) fn tidy(storage: &dyn Storage, journal: &Path) -> Vec<PathBuf> {
    let decided = fresh_directories(storage, journal);
    // Asked in this order: whoever made such a directory has removed its journal since.
    if journal.exists() {
        return Vec::new();
    }
    for directory in decided {
        let _ = storage.remove_dir(&directory);
    }
    remove_dead(storage, journal)
}

/// Whether a restore, a swap or an undoing of one was stopped half way in a data directory: the next one settles it. Changes nothing.
///
/// # Errors
/// `Busy` where another run is at it, and those of a journal that cannot be read.
pub fn is_half_changed(data_dir: impl AsRef<Path>) -> Result<bool> {
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let data_dir = resolve(data_dir.as_ref())?;
    Ok(unsettled(&storage, &data_dir)?.is_some())
}

/// The journal that is still to be followed.
fn unsettled(storage: &Arc<dyn Storage>, data_dir: &Path) -> Result<Option<PathBuf>> {
    for journal in journals_of(data_dir) {
        if Change::find(storage, &journal)?.is_some() {
            return Ok(Some(journal));
        }
    }
    Ok(None)
}

/// Says that there is something to settle, and changes nothing.
pub(super) fn refuse_unfinished(storage: &Arc<dyn Storage>, data_dir: &Path) -> Result<()> {
    let Some(journal) = unsettled(storage, data_dir)? else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Occupied,
        format!(
            "a restore to {} was stopped half done, as {} says; without --dry-run it is finished or taken back first, as it is by \
             `etcd-snap restore --undo`",
            data_dir.display(),
            journal.display()
        ),
    )
    .with_path(&journal))
}
