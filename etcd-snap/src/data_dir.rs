//! The data directory of a member that does not run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::io::{Lock, NewFile, Storage};
use crate::raft::log::Segment;
use crate::{Error, ErrorKind, Result, Snapshot};

/// The database of a member, with the lock that its server would take.
#[derive(Debug)]
pub(crate) struct HeldDatabase {
    /// Where it really is, behind all symbolic links.
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn NewFile>,
    pub(crate) snapshot: Snapshot,
}

impl HeldDatabase {
    /// Takes the lock of `member/snap/db` and opens it. Waits for nobody.
    ///
    /// # Errors
    /// `NotFound`, `AccessDenied` or `Io` where there is no such file that can be read and written; `Busy` where a server, or another
    /// run, has the lock; `Unsupported` where the filesystem has no locks, so that nothing tells whether a server runs; and as
    /// [`Snapshot::open`].
    pub(crate) fn take(storage: &dyn Storage, data_dir: &Path) -> Result<Self> {
        let named = database(data_dir);
        let path = fs::canonicalize(&named).map_err(|e| not_opened(data_dir, &named, e))?;
        let file = lock(storage, data_dir, &named, &path)?;
        let snapshot =
            Snapshot::from_source(named.display().to_string(), Arc::new(Arc::clone(&file)))
                .map_err(|e| e.with_path(&named))?;
        Ok(Self {
            path,
            file,
            snapshot,
        })
    }
}

/// The lock of the database in a data directory that is about to be replaced, whatever state it is in; `None` where there is none.
///
/// # Errors
/// As [`HeldDatabase::take`], but for what the file holds.
pub(crate) fn lock_database(
    storage: &dyn Storage,
    data_dir: &Path,
) -> Result<Option<Arc<dyn NewFile>>> {
    let named = database(data_dir);
    match fs::canonicalize(&named) {
        Ok(path) => lock(storage, data_dir, &named, &path).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(not_opened(data_dir, &named, e)),
    }
}

/// Makes sure that no server, and no tool, uses the database and the log of a member: for those who wait until it has stopped.
/// `wal_dir` is given where the log has a directory of its own. What is not there is not used.
///
/// The lock of the database counts, and whoever has one of the files open, as far as this process may see that.
///
/// # Errors
/// `Busy` with who has it; `Unsupported` where the filesystem has no locks; `AccessDenied` or `Io` where the files cannot be opened.
pub fn require_stopped(data_dir: impl AsRef<Path>, wal_dir: Option<&Path>) -> Result<()> {
    let data_dir = data_dir.as_ref();
    drop(lock_database(&crate::io::Disk, data_dir)?);
    let own = wal(data_dir);
    let wal_dir = wal_dir.unwrap_or(&own);
    let names = match crate::io::Disk.list(wal_dir) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io("look into the WAL directory", wal_dir, e)),
    };
    let is_segment =
        |name: &std::ffi::OsString| name.to_str().is_some_and(|name| name.ends_with(".wal"));
    let mut files = vec![database(data_dir)];
    files.extend(
        names
            .iter()
            .filter(|name| is_segment(name))
            .map(|name| wal_dir.join(name)),
    );
    for path in &files {
        if let Some(user) = users_of(path).first() {
            return Err(in_use(path, data_dir, Some(user)));
        }
    }
    Ok(())
}

fn in_use(path: &Path, data_dir: &Path, by: Option<&String>) -> Error {
    let by = by.map(|user| format!("; it is {user}"));
    Error::new(
        ErrorKind::Busy,
        format!(
            "{} is in use: stop the etcd that runs in {}, or wait for the tool that has the lock{}",
            path.display(),
            data_dir.display(),
            by.unwrap_or_default()
        ),
    )
    .with_path(path)
}

fn lock(
    storage: &dyn Storage,
    data_dir: &Path,
    named: &Path,
    path: &Path,
) -> Result<Arc<dyn NewFile>> {
    match storage
        .lock(path)
        .map_err(|e| not_opened(data_dir, named, e))?
    {
        Lock::Held(file) | Lock::HeldHere(file) => Ok(file),
        Lock::Busy => Err(in_use(named, data_dir, users_of(path).first())),
        Lock::Unsupported(_) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} cannot be locked, so nothing tells whether an etcd is using it: its filesystem has no locks",
                named.display()
            ),
        )
        .with_path(named)),
    }
}

/// The other processes that have a file open, as far as this one may know: `process 123 (etcd)`.
pub(crate) fn users_of(path: &Path) -> Vec<String> {
    let Ok(file) = fs::metadata(path) else {
        return Vec::new();
    };
    let identity = |there: &fs::Metadata| (there.dev(), there.ino());
    let mut users = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = process.file_name();
        let number = name.to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(number) = number.filter(|number| *number != std::process::id()) else {
            continue;
        };
        let mut open = fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten();
        let has_it = open.any(|descriptor| {
            let there = descriptor.and_then(|descriptor| fs::metadata(descriptor.path()));
            there.is_ok_and(|there| identity(&there) == identity(&file))
        });
        if has_it {
            let program = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            users.push(format!("process {number} ({})", program.trim_end()));
        }
    }
    users
}

/// What stands in for a database while its directory is being changed: no etcd opens it.
const BARRIER: &str = "This is not a database. etcd-snap";

/// The text of a barrier, which leads to the journal.
pub(crate) fn barrier(data_dir: &Path, journal: &Path) -> String {
    format!(
        "{BARRIER} is changing this data directory, or was stopped while it did.\n\
         No etcd can start from it. Run the same command again, or get the old data back:\n  \
         etcd-snap restore --undo {}\n\
         {JOURNAL}{}\n",
        data_dir.display(),
        journal.display()
    )
}

const JOURNAL: &str = "What was being done: ";

/// The journal that a barrier in the place of the database names; `None` where there is no barrier.
pub(crate) fn journal_of_barrier(data_dir: &Path) -> Option<PathBuf> {
    const LONGEST: u64 = 16 << 10;
    let path = database(data_dir);
    let there = fs::symlink_metadata(&path).ok()?;
    if !there.is_file() || there.len() > LONGEST {
        return None;
    }
    let text = String::from_utf8(fs::read(&path).ok()?).ok()?;
    if !text.starts_with(BARRIER) {
        return None;
    }
    text.lines()
        .find_map(|line| line.strip_prefix(JOURNAL))
        .map(PathBuf::from)
}

pub(crate) fn database(data_dir: &Path) -> PathBuf {
    data_dir.join("member").join("snap").join("db")
}

/// Where a member's WAL is, unless it has a directory of its own.
pub(crate) fn wal(data_dir: &Path) -> PathBuf {
    data_dir.join("member").join("wal")
}

/// The segments of a WAL, in the order of their names.
///
/// # Errors
/// `NotFound` where there is no directory or no segment in it; `AccessDenied` or `Io` where they cannot be opened.
/// [`detail`](crate::Error::detail) has in `wal` what could not be done.
pub(crate) fn segments(storage: &dyn Storage, wal_dir: &Path) -> Result<Vec<Segment>> {
    let mut names: Vec<_> = storage
        .list(wal_dir)
        .map_err(|e| {
            Error::io("look into the WAL directory", wal_dir, e).with_detail("wal", "list")
        })?
        .into_iter()
        .filter_map(|name| Some((Segment::numbers(name.to_str()?)?, name)))
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no WAL in {}", wal_dir.display()),
        )
        .with_path(wal_dir)
        .with_detail("wal", "none"));
    }
    let open = |(numbers, name)| {
        let path = wal_dir.join(name);
        let file = File::open(&path)
            .map_err(|e| Error::io("open", &path, e).with_detail("wal", "open"))?;
        let name = path.display().to_string();
        Ok(Segment::new(numbers, name, Box::new(file)))
    };
    names.into_iter().map(open).collect()
}

fn not_opened(data_dir: &Path, database: &Path, error: io::Error) -> Error {
    if error.kind() != io::ErrorKind::NotFound {
        return Error::io("open", database, error);
    }
    let why = if data_dir.exists() {
        "is not the data directory of a member: there is no member/snap/db in it"
    } else {
        "does not exist: name the data directory of a stopped member"
    };
    let message = format!("{} {why}", data_dir.display());
    Error::new(ErrorKind::NotFound, message)
        .with_path(database)
        .with_source(error)
}
