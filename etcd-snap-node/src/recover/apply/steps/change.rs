//! Files change, and change back.

use std::path::{Path, PathBuf};

use super::Run;
use crate::recover::files::text;
use crate::recover::{FileChange, StopBy};
use crate::{Error, ErrorKind, Result, disk};

/// Of files that are made; one that is there keeps its own.
const MODE: u32 = 0o644;

impl Run<'_> {
    /// Every file gets its new content, if it still has the old one.
    pub(in super::super) fn change(&mut self) -> Result<()> {
        for change in self.recovery().changes.clone() {
            let path = self.where_it_is(&change.path);
            let found = text(self.root(), &path)?;
            if found.as_ref() == Some(&change.after) {
                continue;
            }
            if found != change.before {
                return Err(changed(&path, &change));
            }
            self.make_directories(&path)?;
            disk::write_whole(&self.on_disk(&path), change.after.as_bytes(), MODE)?;
            if text(self.root(), &path)?.as_ref() != Some(&change.after) {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!("{} does not hold what was written to it", path.display()),
                )
                .with_path(path));
            }
        }
        self.reload()
    }

    /// What is to be changed back is what it was changed to, or has not been changed.
    pub(in super::super) fn require_changes_known(&self) -> Result<()> {
        for change in &self.recovery().changes {
            let path = self.where_it_is(&change.path);
            let found = text(self.root(), &path)?;
            if found != change.before && found.as_ref() != Some(&change.after) {
                return Err(changed(&path, change));
            }
        }
        Ok(())
    }

    /// The same backwards.
    pub(in super::super) fn change_back(&mut self) -> Result<()> {
        for change in self.recovery().changes.clone() {
            let path = self.where_it_is(&change.path);
            let found = text(self.root(), &path)?;
            if found == change.before {
                continue;
            }
            if found.as_ref() != Some(&change.after) {
                return Err(changed(&path, &change));
            }
            match &change.before {
                Some(before) => disk::write_whole(&self.on_disk(&path), before.as_bytes(), MODE)?,
                None => disk::remove_file(&self.root().entry(&path))?,
            }
        }
        for directory in self.journal.facts.made_directories.iter().rev() {
            disk::remove_empty_directory(&self.on_disk(directory))?;
        }
        self.reload()
    }

    fn reload(&self) -> Result<()> {
        match &self.recovery().stop {
            StopBy::Unit { .. } if !self.recovery().changes.is_empty() => {
                self.systemctl(&["daemon-reload"])
            }
            _ => Ok(()),
        }
    }

    /// What is missing above a file is made, and noted before, so that it can be removed again.
    fn make_directories(&mut self, file: &Path) -> Result<()> {
        let Some(parent) = file.parent() else {
            return Ok(());
        };
        let missing = parent
            .ancestors()
            .take_while(|directory| !self.on_disk(directory).exists());
        let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.reverse();
        self.journal.facts.made_directories.extend(missing);
        self.save()?;
        disk::make_directory(&self.on_disk(parent), 0o755)
    }

    /// A manifest that is moved out is changed where it is.
    fn where_it_is(&self, path: &Path) -> PathBuf {
        if let StopBy::Manifests { manifests, .. } = &self.recovery().stop
            && let Some(moved) = manifests.iter().find(|moved| moved.from == path)
            && self.root().entry(&moved.to).symlink_metadata().is_ok()
        {
            return moved.to.clone();
        }
        path.to_owned()
    }
}

fn changed(path: &Path, change: &FileChange) -> Error {
    let what = match &change.before {
        Some(_) => "holds neither what was planned with nor what is to be in it",
        None => "was made by somebody, with something else than what is to be in it",
    };
    Error::new(
        ErrorKind::Refused,
        format!(
            "{} {what}: somebody has changed it meanwhile",
            path.display()
        ),
    )
    .with_path(path)
    .with_remedy(format!(
        "make it what it was, or what the plan says:\n{}",
        change.diff.trim_end()
    ))
}
