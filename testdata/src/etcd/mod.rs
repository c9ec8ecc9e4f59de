//! The executables of real etcd: which minors there are, where they lie, how to get them.

mod golang;
mod provide;

use std::ffi::OsStr;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

pub use provide::provide;

/// Names a folder with ready executables: `<folder>/<minor>/etcd`, `etcdctl`, and for 3.5 and newer `etcdutl`.
pub const READY_BINARIES: &str = "ETCD_SNAP_TEST_ETCD_DIR";

/// A minor of etcd that the tests run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 3.4.23, the only release of its line that the distribution packages carry.
    V3_4,
    /// 3.5.35
    V3_5,
    /// 3.6.16
    V3_6,
    /// 3.7.3
    V3_7,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Version; 4] = [Version::V3_4, Version::V3_5, Version::V3_6, Version::V3_7];

    /// The newest: what a test uses that does not care.
    pub const NEWEST: Version = Version::V3_7;

    /// Major and minor, as in `3.6`.
    pub fn minor(self) -> &'static str {
        match self {
            Version::V3_4 => "3.4",
            Version::V3_5 => "3.5",
            Version::V3_6 => "3.6",
            Version::V3_7 => "3.7",
        }
    }

    /// This minor and every newer one: where a snapshot of this minor has to boot.
    pub fn and_newer(self) -> impl Iterator<Item = Version> {
        Version::ALL.into_iter().filter(move |other| *other >= self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.minor())
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Version::ALL
            .into_iter()
            .find(|version| version.minor() == text)
            .ok_or_else(|| {
                format!("there are no test servers of etcd {text:?}, only 3.4, 3.5, 3.6 and 3.7")
            })
    }
}

/// The executables of one minor, and our own small tools.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// What minor they are.
    pub version: Version,
    /// The server.
    pub etcd: PathBuf,
    /// The client.
    pub etcdctl: PathBuf,
    /// The offline tool, which 3.4 does not have: there `etcdctl snapshot` does its work.
    pub etcdutl: Option<PathBuf>,
    /// `bbolt-check FILE...`: bbolt's own check, of this minor where it has one, else of the next that does.
    pub bbolt_check: PathBuf,
    /// `bbolt-copy FROM TO`: the same contents in other pages.
    pub bbolt_copy: PathBuf,
    /// `bulk`: puts many keys quickly.
    pub bulk: PathBuf,
    /// `dump`: prints every key a client can see.
    pub dump: PathBuf,
    /// `hashkv`: asks a member for its HashKV at many revisions.
    pub hashkv: PathBuf,
}

impl Binaries {
    /// Finds the executables of one minor, in the folder that [`READY_BINARIES`] names or where `cargo xtask etcd` put
    /// them. The error says what is missing and the command that brings it.
    pub fn find(version: Version) -> Result<Self> {
        let own = |program| locate(version, program);
        // The tools are only in the programs that we build; any minor's will do.
        let tool = |program: &str| {
            std::iter::once(version)
                .chain(Version::ALL)
                .find_map(|version| locate(version, program).ok())
                .map_or_else(|| locate(Version::V3_5, program), Ok)
        };
        Ok(Binaries {
            version,
            etcd: own("etcd")?,
            etcdctl: own("etcdctl")?,
            etcdutl: if version == Version::V3_4 {
                None
            } else {
                Some(own("etcdutl")?)
            },
            bbolt_check: tool("bbolt-check")?,
            bbolt_copy: tool("bbolt-copy")?,
            bulk: tool("bulk")?,
            dump: tool("dump")?,
            hashkv: tool("hashkv")?,
        })
    }

    /// The program that answers to `snapshot status` and `snapshot restore`: `etcdutl`, or 3.4's `etcdctl`.
    pub fn offline_tool(&self) -> &Path {
        self.etcdutl.as_deref().unwrap_or(&self.etcdctl)
    }

    /// Runs [`Binaries::offline_tool`] and returns what it printed on stdout; a failure is an error with its stderr.
    pub fn offline<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let mut command = Command::new(self.offline_tool());
        command.args(arguments);
        stdout(&mut command)
    }

    /// Lets bbolt's own check look at the files; the error lists what it found.
    pub fn check_pages<P: AsRef<OsStr>>(&self, files: impl IntoIterator<Item = P>) -> Result<()> {
        stdout(Command::new(&self.bbolt_check).args(files)).map(drop)
    }

    /// Writes the contents of a database or snapshot into a new database (without digest) with pages of another size, and
    /// with or without the freelist in the file, as servers on other platforms have them.
    pub fn copy_database(
        &self,
        from: &Path,
        to: &Path,
        page_size: u32,
        freelist: bool,
    ) -> Result<()> {
        let mut command = Command::new(&self.bbolt_copy);
        command
            .arg(format!("--page-size={page_size}"))
            .arg(format!("--freelist={freelist}"));
        stdout(command.arg(from).arg(to)).map(drop)
    }
}

/// Where the built and unpacked executables of one minor go.
pub fn folder(version: Version) -> PathBuf {
    crate::target_folder().join("etcd").join(version.minor())
}

fn locate(version: Version, program: &str) -> Result<PathBuf> {
    let ready =
        std::env::var_os(READY_BINARIES).map(|ready| PathBuf::from(ready).join(version.minor()));
    let places: Vec<PathBuf> = ready.into_iter().chain([folder(version)]).collect();
    for place in &places {
        let path = place.join(program);
        if path.is_file() {
            return path
                .canonicalize_name()
                .with_context(|| format!("cannot resolve {}", path.display()));
        }
    }
    let places: Vec<String> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    bail!(
        "{program} of etcd {version} is missing (looked in {}). To get it: cargo xtask etcd --version {version}",
        places.join(" and ")
    )
}

trait CanonicalizeName {
    fn canonicalize_name(&self) -> std::io::Result<PathBuf>;
}

impl CanonicalizeName for Path {
    /// An absolute path whose last piece stays as it is: the programs go by the name that they are called.
    fn canonicalize_name(&self) -> std::io::Result<PathBuf> {
        let folder = self.parent().unwrap_or(Path::new(".")).canonicalize()?;
        Ok(self
            .file_name()
            .map_or(folder.clone(), |name| folder.join(name)))
    }
}

/// Runs a program to its end and returns its stdout; a failure is an error with everything that it printed.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!("{}", describe(command, &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))
}

pub(crate) fn output_with_input(command: &mut Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that fails early does not read; its own message is the better error.
        let _ = stdin.write_all(input);
    }
    Ok(child.wait_with_output()?)
}

pub(crate) fn describe(command: &Command, output: &Output) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .collect();
    // What matters begins behind the wrapper that ties the program to this process.
    let program = words
        .iter()
        .position(|word| *word == "--")
        .map_or(0, |end| end + 1);
    let words: Vec<_> = words[program..]
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    format!(
        "{}: {}\n{}\n{}",
        words.join(" "),
        output.status,
        printed(&output.stdout),
        printed(&output.stderr)
    )
}
