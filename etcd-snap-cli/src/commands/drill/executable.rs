//! Which etcd is booted.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use etcd_snap_node::{DiscoverOptions, RunningProcess, discover};

const ETCD: &str = "etcd";

/// The one that was named, as a shell would find it; else that of the process that was found; else the one in `PATH`; else the one
/// that runs on this machine.
pub(super) fn find(named: Option<&Path>, found: Option<&RunningProcess>) -> Option<PathBuf> {
    match named {
        Some(named) if is_bare(named) => {
            Some(in_path(named.as_os_str()).unwrap_or(named.to_owned()))
        }
        Some(named) => Some(named.to_owned()),
        None => found
            .and_then(of_process)
            .or_else(|| in_path(OsStr::new(ETCD)))
            .or_else(running),
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
        .find_map(of_process)
}

/// Its path says more to a reader than the link, where it leads to the same file.
fn of_process(process: &RunningProcess) -> Option<PathBuf> {
    let link = PathBuf::from(format!("/proc/{}/exe", process.pid));
    if !is_executable(&link) {
        return None;
    }
    let path = process.executable.clone();
    Some(path.filter(|path| is_same(path, &link)).unwrap_or(link))
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_up_and_a_process_has_its_program() {
        assert!(is_bare(Path::new("etcd")));
        assert!(!is_bare(Path::new("./etcd")) && !is_bare(Path::new("/usr/bin/etcd")));
        let named = Path::new("./no-such-etcd");
        assert_eq!(find(Some(named), None).as_deref(), Some(named));
        let itself = std::env::current_exe().unwrap();
        let process = |executable: &Path| -> RunningProcess {
            let id = std::process::id();
            let it = serde_json::json!({"pid": id, "uid": 0, "executable": executable});
            serde_json::from_value(it).unwrap()
        };
        assert_eq!(find(None, Some(&process(&itself))), Some(itself));
        let in_a_container = process(Path::new("/no/such/etcd"));
        let link = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        assert_eq!(find(None, Some(&in_a_container)), Some(link));
        let sh = in_path(OsStr::new("sh")).unwrap();
        assert!(sh.is_absolute() && sh.ends_with("sh"));
    }
}
