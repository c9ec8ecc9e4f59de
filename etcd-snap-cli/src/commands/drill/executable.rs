//! Which etcd is booted.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use etcd_snap_node::{DiscoverOptions, discover};

const ETCD: &str = "etcd";

/// The one that was named, as a shell would find it; else the one in `PATH`; else the one that runs on this machine.
pub(super) fn find(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(named) if is_bare(named) => {
            Some(in_path(named.as_os_str()).unwrap_or(named.to_owned()))
        }
        Some(named) => Some(named.to_owned()),
        None => in_path(OsStr::new(ETCD)).or_else(running),
    }
}

/// A name alone, without any directory.
fn is_bare(path: &Path) -> bool {
    path.components().count() == 1 && !path.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// The program of this name that a shell would run.
pub(crate) fn in_path(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name.as_ref()))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// That of a process, also of one in a container: the link leads there, where a path of its own would not.
fn running() -> Option<PathBuf> {
    let node = discover(&DiscoverOptions::default()).ok()?;
    node.etcds
        .iter()
        .filter_map(|etcd| etcd.process.as_ref())
        .map(|process| PathBuf::from(format!("/proc/{}/exe", process.pid)))
        .find(|executable| is_executable(executable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_name_is_looked_up() {
        assert!(is_bare(Path::new("etcd")));
        assert!(!is_bare(Path::new("./etcd")) && !is_bare(Path::new("/usr/bin/etcd")));
        let named = Path::new("./no-such-etcd");
        assert_eq!(find(Some(named)).as_deref(), Some(named));
        let sh = in_path(OsStr::new("sh")).unwrap();
        assert!(sh.is_absolute() && sh.ends_with("sh"));
    }
}
