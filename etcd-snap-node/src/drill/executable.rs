//! An etcd to boot: what it calls itself, and whether it can be new enough for a snapshot.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::process::{self, Process};
use rustix::fs::Access;

use crate::observe::tell;
use crate::{Error, Observer, Result};

/// An etcd.
#[derive(Debug, Clone)]
pub(super) struct Executable {
    pub(super) path: PathBuf,
    /// What it calls itself, like `3.6.16`; `None` where it does not say.
    pub(super) version: Option<String>,
}

/// Asking for the version takes etcd some milliseconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

impl Executable {
    /// Asks an executable for its version. One that does not say is started all the same: what it says then is the better reason.
    pub(super) fn ask(
        path: &Path,
        timeout: Duration,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            version: version(path, timeout.min(ANSWERS_WITHIN), observer.as_ref())?,
        })
    }

    fn minor(&self) -> Option<(u32, u32)> {
        minor(self.version.as_deref()?)
    }

    /// Whether it knows `--unsafe-no-fsync`.
    pub(super) fn can_do_without_fsync(&self) -> bool {
        self.minor().is_some_and(|minor| minor >= (3, 5))
    }

    /// Why it is too old for data of these versions. Nobody else would say so in time: etcd 3.6 and newer refuse to start on storage of
    /// a newer minor, and older ones serve what a restore made of it without a word.
    pub(super) fn too_old_for(&self, versions: &[Option<&str>]) -> Option<String> {
        let own = self.minor()?;
        let newest = versions
            .iter()
            .filter_map(|version| minor((*version)?))
            .max()?;
        (own < newest).then(|| {
            format!(
                "etcd {} is too old for this snapshot, which is of etcd {}.{}",
                self.version.as_deref().unwrap_or_default(),
                newest.0,
                newest.1
            )
        })
    }
}

/// A name that is mistyped says nothing of the snapshot.
pub(super) fn require(path: &Path) -> Result<()> {
    let failed = |e| Error::io("run", path, e).with_remedy("name an etcd, or leave it out");
    rustix::fs::access(path, Access::EXEC_OK).map_err(|e| failed(e.into()))?;
    match std::fs::metadata(path).map_err(failed)?.is_file() {
        true => Ok(()),
        false => Err(failed(io::ErrorKind::IsADirectory.into())),
    }
}

fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    let mut next = || parts.next()?.parse().ok();
    Some((next()?, next()?))
}

fn version(path: &Path, timeout: Duration, observer: &dyn Observer) -> Result<Option<String>> {
    let mut command = process::command(path);
    command
        .arg("--version")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut asked) = Process::start(command) else {
        return Ok(None);
    };
    let began = Instant::now();
    while asked.ended().is_none() {
        if began.elapsed() > timeout {
            return Ok(None);
        }
        tell(observer, &process::waiting("for the version of etcd"))?;
        process::pause();
    }
    // It has ended, and said little: what it said is in the pipe.
    let mut said = String::new();
    if let Some(stdout) = asked.take_stdout() {
        let _ = stdout.take(4096).read_to_string(&mut said);
    }
    Ok(said
        .lines()
        .find_map(|line| line.strip_prefix("etcd Version:"))
        .map(|version| version.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd(version: &str) -> Executable {
        Executable {
            path: "etcd".into(),
            version: Some(version.to_owned()),
        }
    }

    #[test]
    fn an_older_minor_than_the_clusters_is_too_old() {
        let too_old = etcd("3.4.23").too_old_for(&[Some("3.6.0"), Some("3.7.0"), None]);
        let too_old = too_old.unwrap();
        assert!(too_old.contains("3.4.23") && too_old.ends_with("of etcd 3.7"));
        for version in ["3.7.0", "3.10.1", "4.0.0", "unknown"] {
            assert_eq!(etcd(version).too_old_for(&[Some("3.7.0")]), None);
        }
        assert_eq!(etcd("3.4.23").too_old_for(&[None, Some("odd")]), None);
        assert!(etcd("3.5.0").can_do_without_fsync());
        assert!(!etcd("3.4.37").can_do_without_fsync());
    }
}
