//! Runs the command with nothing of the caller's environment.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use etcd_snap_testdata::database::Image;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;
use tempfile::TempDir;

/// The command, in this directory.
pub(crate) fn etcd_snap<A: AsRef<OsStr>>(
    directory: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = etcd_snap_testdata::stoppable(env!("CARGO_BIN_EXE_etcd-snap"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::null());
    command
}

/// What a run left behind for its reader.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Fails with everything that was said if it ended otherwise.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, Some(expected), "{self:#?}");
        self
    }

    /// Fails unless standard error has these words.
    #[track_caller]
    pub(crate) fn complains(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "no {words:?} in {self:#?}");
        self
    }
}

pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.output().expect("the command runs");
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text on stdout"),
        stderr: String::from_utf8(output.stderr).expect("text on stderr"),
    }
}

/// A directory with files to work on; what else is in it at the end came from the command.
pub(crate) struct Room(TempDir);

impl Room {
    /// With a snapshot of a real server, `good.db`.
    pub(crate) fn new() -> Self {
        let room = Self(tempfile::tempdir().expect("a temporary directory"));
        room.put("good.db", &good());
        room
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).expect("a file in a temporary directory");
        path
    }

    /// Runs the command in the room; arguments are split at blanks.
    pub(crate) fn run(&self, arguments: &str) -> Said {
        said(&mut self.command(arguments))
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        etcd_snap(self.path(), arguments.split_whitespace())
    }

    /// All names, sorted, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path())
            .expect("a directory")
            .map(|entry| {
                let name = entry.expect("an entry").file_name();
                name.to_string_lossy().into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

/// A snapshot of a real server.
pub(crate) fn good() -> Vec<u8> {
    fs::read(golden::snapshot(Version::V3_6)).expect("a committed snapshot")
}

/// The same without its digest.
pub(crate) fn raw() -> Vec<u8> {
    Image::of_snapshot(good()).unsealed()
}

/// The same with one bit flipped at the unused end of a page, where nobody reads: only the digest can tell.
pub(crate) fn flipped() -> Vec<u8> {
    let mut bytes = good();
    let image = Image::of_snapshot(bytes.clone());
    let root = image.page(image.current().root);
    bytes[root.offset + image.page_size() - 1] ^= 1;
    bytes
}

/// Compares with a committed file, or writes it when `ETCD_SNAP_UPDATE_GOLDEN` is set.
#[track_caller]
pub(crate) fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("ETCD_SNAP_UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).expect("the golden file can be written");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == found,
        "{name} is not what the command prints now; if that is meant, run the tests with ETCD_SNAP_UPDATE_GOLDEN=1.\n\
         expected:\n{expected}\nfound:\n{found}"
    );
}
