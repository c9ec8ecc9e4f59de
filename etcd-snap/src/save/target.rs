//! Where a snapshot goes.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::direct::{self, Direct};
use super::options::{Attest, SaveOptions};
use super::outlet::{Outlet, Sink};
use super::pattern::Pattern;
use crate::io::{Replace, StagedFile, look_at, stage_file};
use crate::observe::Event;
use crate::{Error, Result};

/// Where a snapshot goes. Made from anything that is a path, or by [`descriptor`](Self::descriptor) or
/// [`writer`](Self::writer).
///
/// A path of a file, existing or not, is a file that gets its name at the end, after its pages and records were walked. A
/// path of a pipe (FIFO) or a device is written directly, as are descriptors and writers: the bytes leave as they come, and
/// the proof is that of a [stream](crate::ProofKind::Stream). What has left cannot be taken back, but the last bytes of
/// the database and its digest are sent only after everything was checked: whoever reads less has no snapshot, and can tell.
pub struct Target(Place);

enum Place {
    Path(PathBuf),
    Pattern(Pattern),
    Descriptor(String, OwnedFd),
    Writer(String, Box<dyn Write + Send>),
}

impl<P: AsRef<Path>> From<P> for Target {
    fn from(path: P) -> Self {
        Self(Place::Path(path.as_ref().to_owned()))
    }
}

impl Target {
    /// A file whose name is decided when the snapshot is there: `backups/etcd-{revision}.db`.
    ///
    /// Filled in are `{revision}`; `{utc}`, the time at which the file gets its name, as `20261125T213719Z`; `{cluster}` and
    /// `{member}`, the ids of whoever gave the snapshot; and `{host}`, which is the `host` given here. A brace that is meant as
    /// one is written twice. The directory is taken as it is. Without any of them, this is the path.
    ///
    /// # Errors
    /// `InvalidInput` for other words in braces, for lone braces, for any of these words in the directory, for `{host}`
    /// without a host that can be part of a name, and for a name that can grow too long. A save fails with it, before the
    /// transfer, where the server does not say what is to be filled in.
    pub fn pattern(path: impl AsRef<Path>, host: Option<&str>) -> Result<Self> {
        let (path, pattern) = Pattern::parse(path.as_ref(), host.map(ToOwned::to_owned))?;
        Ok(Self(match pattern {
            Some(pattern) => Place::Pattern(pattern),
            None => Place::Path(path),
        }))
    }

    /// Something open: a pipe, a socket, standard output. `name` stands for it in sentences.
    ///
    /// That the reader of a pipe has gone away is noticed at once, even while the server sends nothing.
    #[must_use]
    pub fn descriptor(name: impl Into<String>, descriptor: impl Into<OwnedFd>) -> Self {
        Self(Place::Descriptor(name.into(), descriptor.into()))
    }

    /// Any writer; `name` stands for it in sentences. It is called from a thread of the save's own, and flushed at the end.
    ///
    /// After a failure it is dropped when the call that it is in has returned.
    #[must_use]
    pub fn writer(name: impl Into<String>, writer: impl Write + Send + 'static) -> Self {
        Self(Place::Writer(name.into(), Box::new(writer)))
    }

    /// Makes sure that the target can be written: by beginning to write beside it, or by opening it.
    pub(crate) async fn open(self, options: &SaveOptions) -> Result<(Outlet, Sink)> {
        match self.0 {
            Place::Path(path) => match look_at(&path, options.replace())? {
                Some(kind) => {
                    may_be_direct(options)?;
                    let file = direct::open(&path, kind, options).await?;
                    let name = path.display().to_string();
                    let direct = Direct::to_descriptor(name, file)?;
                    Ok((Outlet::Direct(Some(path)), Sink::Direct(direct)))
                }
                None => {
                    has_place_for_unproven(&path, options)?;
                    staged(stage(&path, options)?, None)
                }
            },
            Place::Pattern(pattern) => {
                let path = pattern.path();
                if look_at(path, Replace::Yes)?.is_some() {
                    return Err(pattern.refuse(NOT_TO_BE_FILLED));
                }
                staged(stage(path, options)?, Some(pattern))
            }
            Place::Descriptor(name, descriptor) => {
                may_be_direct(options)?;
                let direct = Direct::to_descriptor(name, descriptor.into())?;
                Ok((Outlet::Direct(None), Sink::Direct(direct)))
            }
            Place::Writer(name, writer) => {
                may_be_direct(options)?;
                let direct = Direct::to_writer(name, writer);
                Ok((Outlet::Direct(None), Sink::Direct(direct)))
            }
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Path(path) => f.debug_tuple("Target").field(path).finish(),
            Place::Pattern(pattern) => f.debug_tuple("Target").field(pattern).finish(),
            Place::Descriptor(name, _) | Place::Writer(name, _) => {
                f.debug_tuple("Target").field(name).finish_non_exhaustive()
            }
        }
    }
}

/// Refuses what needs a file.
fn may_be_direct(options: &SaveOptions) -> Result<()> {
    if options.attest() != Attest::No {
        return Err(super::not_to_be_attested());
    }
    if options.manifest() {
        return Err(super::no_place_for_manifest());
    }
    Ok(())
}

/// Where a snapshot goes that the members do not bear out.
pub(super) fn unproven(path: &Path) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(".unproven");
    path.into()
}

/// Removes what an earlier save left there, now that this one is borne out. That this fails takes nothing from the save.
pub(super) fn forget_unproven(path: &Path, options: &SaveOptions) {
    let path = unproven(path);
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

const NOT_TO_BE_FILLED: &str =
    "is a pipe or a device, which gets no name: placeholders are for files";

/// Begins again with a new file.
#[cfg(feature = "client")]
pub(super) fn again(
    path: &Path,
    pattern: Option<Pattern>,
    options: &SaveOptions,
) -> Result<(Outlet, Sink)> {
    staged(stage(path, options)?, pattern)
}

fn staged(staged: StagedFile, pattern: Option<Pattern>) -> Result<(Outlet, Sink)> {
    let sink = Sink::staged(&staged);
    Ok((Outlet::Staged { staged, pattern }, sink))
}

/// Holds a name that a pattern has led to against what is there, as is done at once with a name that is known.
pub(super) fn look_at_filled(path: &Path, pattern: &Pattern, options: &SaveOptions) -> Result<()> {
    if look_at(path, options.replace())?.is_some() {
        return Err(pattern.refuse(NOT_TO_BE_FILLED));
    }
    has_place_for_unproven(path, options)
}

fn has_place_for_unproven(path: &Path, options: &SaveOptions) -> Result<()> {
    if options.attest() != Attest::No && options.keep_unproven() {
        let unproven = unproven(path);
        if look_at(&unproven, Replace::Yes)?.is_some() {
            let message = format!(
                "{} is a device or a pipe, where what is unproven would be kept",
                unproven.display()
            );
            return Err(Error::invalid(message).with_path(&unproven));
        }
    }
    Ok(())
}

fn stage(path: &Path, options: &SaveOptions) -> Result<StagedFile> {
    stage_file(options.storage(), path, "save", options.observer())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{SaveOptions, Target};
    use crate::{ErrorKind, Result};

    fn open(target: impl Into<Target>, options: &SaveOptions) -> Result<()> {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(target.into().open(options))
            .map(drop)
    }

    #[test]
    fn a_target_that_cannot_be_written_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let options = SaveOptions::default();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, kind) in [
            ("".into(), ErrorKind::InvalidInput),
            ("/".into(), ErrorKind::InvalidInput),
            ("..".into(), ErrorKind::InvalidInput),
            (socket, ErrorKind::InvalidInput),
            (directory.path().to_owned(), ErrorKind::InvalidInput),
            (directory.path().join("new.db/"), ErrorKind::InvalidInput),
            (directory.path().join("none/new.db"), ErrorKind::NotFound),
        ] {
            let error = open(&path, &options).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn an_existing_file_is_refused_only_on_request() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old.db");
        std::fs::write(&path, "old").unwrap();
        open(&path, &SaveOptions::default()).unwrap();
        let options = SaveOptions::default().with_no_clobber(true);
        let error = open(&path, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Occupied, "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_device_is_written_directly_and_nothing_of_it_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for no_clobber in [false, true] {
            let options = SaveOptions::default().with_no_clobber(no_clobber);
            for path in [PathBuf::from("/dev/null"), link.clone()] {
                open(&path, &options).unwrap();
            }
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    /// A rename would take the name away from what leads to the open file.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_name_for_an_open_file_is_no_target() {
        use std::os::fd::AsRawFd as _;

        let file = tempfile::tempfile().unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        for path in [path.clone(), path.replace("/proc/self", "/dev")] {
            let error = open(&path, &SaveOptions::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains("open already"), "{error}");
        }
    }
}
