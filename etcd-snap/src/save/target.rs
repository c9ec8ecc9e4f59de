//! Where a snapshot goes.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::options::{Attest, SaveOptions};
use crate::io::{Replace, StagedFile};
use crate::observe::Event;
use crate::{Error, ErrorKind, Result};

/// Where a snapshot goes: the path of a file. Made from anything that is a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(PathBuf);

impl<P: AsRef<Path>> From<P> for Target {
    fn from(path: P) -> Self {
        Self(path.as_ref().to_owned())
    }
}

impl Target {
    pub(crate) fn into_path(self) -> PathBuf {
        self.0
    }

    /// Makes sure that the target can be written, by beginning to write beside it.
    pub(crate) fn stage(&self, options: &SaveOptions) -> Result<StagedFile> {
        let path = self.0.as_path();
        self.look_at(options.replace())?;
        if options.attest() != Attest::No && options.keep_unproven() {
            Self(self.unproven()).look_at(Replace::Yes)?;
        }
        StagedFile::create(options.storage(), path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => {
                let directory = crate::io::directory_of(path);
                Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "the directory {} does not exist: make it, or name another target",
                        directory.display()
                    ),
                )
                .with_path(directory)
            }
            _ => e,
        })
    }

    /// Where a snapshot goes that the members do not bear out.
    pub(crate) fn unproven(&self) -> PathBuf {
        let mut path = self.0.clone().into_os_string();
        path.push(".unproven");
        path.into()
    }

    /// Removes what an earlier save left there, now that this one is borne out. That this fails takes nothing from the save.
    pub(crate) fn forget_unproven(&self, options: &SaveOptions) {
        let path = self.unproven();
        match options.storage().remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                let note = format!(
                    "{} is of an earlier save and cannot be removed: {e}",
                    path.display()
                );
                let _ = options.observer().event(&Event::Note(note));
            }
            _ => {}
        }
    }

    fn look_at(&self, replace: Replace) -> Result<()> {
        let path = self.0.as_path();
        let refuse = |kind, why: &str| {
            Err(Error::new(kind, format!("{} {why}", path.display())).with_path(path))
        };
        if path.as_os_str().is_empty() {
            return Err(Error::invalid("the target has no name"));
        }
        // `file_name` passes over a final slash, and so would turn the name of a directory into that of a file.
        if path.file_name().is_none() || path.as_os_str().as_bytes().ends_with(b"/") {
            return refuse(
                ErrorKind::InvalidInput,
                "names a directory: name the file in it",
            );
        }
        match fs::symlink_metadata(path) {
            Ok(_) if replace == Replace::No => {
                return refuse(
                    ErrorKind::Occupied,
                    "is already there, and is not to be replaced",
                );
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            // What cannot be looked at can perhaps be written; the staged file will tell.
            Err(_) => return Ok(()),
        }
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => refuse(
                ErrorKind::InvalidInput,
                "is a directory: name the file in it",
            ),
            // A rename would put a plain file in the place of /dev/null.
            Ok(there) if !there.is_file() => refuse(
                ErrorKind::InvalidInput,
                "is a device, a pipe or a socket: a snapshot is saved to a plain file",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SaveOptions, Target};
    use crate::ErrorKind;

    #[test]
    fn a_target_that_cannot_be_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let options = SaveOptions::default();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for (path, kind) in [
            ("".into(), ErrorKind::InvalidInput),
            ("/".into(), ErrorKind::InvalidInput),
            ("..".into(), ErrorKind::InvalidInput),
            ("/dev/null".into(), ErrorKind::InvalidInput),
            (link, ErrorKind::InvalidInput),
            (directory.path().to_owned(), ErrorKind::InvalidInput),
            (directory.path().join("new.db/"), ErrorKind::InvalidInput),
            (directory.path().join("none/new.db"), ErrorKind::NotFound),
        ] {
            let error = Target::from(&path).stage(&options).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn an_existing_file_is_refused_only_on_request() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old.db");
        std::fs::write(&path, "old").unwrap();
        let target = Target::from(&path);
        target.stage(&SaveOptions::default()).unwrap();
        let options = SaveOptions::default().with_no_clobber(true);
        let error = target.stage(&options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Occupied, "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }
}
