//! Symbolic links that lead nowhere, as those to a disk do that is not mounted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Finding, Root};

/// What is said where the directories of a member are, or would be, on a disk that is not there.
pub(crate) fn broken_of(root: &Root, data_dir: &Path, wal_dir: Option<&Path>) -> Vec<Finding> {
    let data = broken(root, "the data directory", data_dir);
    let wal = wal_dir.and_then(|it| broken(root, "the WAL directory", it));
    // Below the same link they lack the same disk.
    let own = wal.filter(|wal| data.as_ref().is_none_or(|data| data.path != wal.path));
    data.into_iter().chain(own).collect()
}

/// Whether nothing can be made there before a link on the way is mended.
pub(crate) fn is_broken(root: &Root, path: &Path) -> bool {
    leads_nowhere(root, path).is_some()
}

/// Whatever is made below such a link goes to another disk than the one that is meant, or fails.
fn broken(root: &Root, what: &str, path: &Path) -> Option<Finding> {
    let (link, target) = leads_nowhere(root, path)?;
    let shown = link.display();
    let whose = match link == path {
        true => format!("{what} {shown} is a symbolic link"),
        false => format!(
            "{what} {} is below the symbolic link {shown}",
            path.display()
        ),
    };
    let (sentence, remedy) = match target {
        Some(target) => (
            format!(
                "{whose} that leads to {}, which is not there",
                target.display()
            ),
            format!(
                "is the disk mounted? Mount it (`findmnt --verify` says what /etc/fstab has); where the disk is new, make {} on it",
                target.display()
            ),
        ),
        None => (
            format!("{whose} that leads back to itself"),
            "let the link lead to where the data is, on a disk that is mounted".to_owned(),
        ),
    };
    let finding = Finding::error("data-dir-link-broken", sentence);
    Some(finding.with_remedy(remedy).at(link))
}

/// The first link on the way that leads nowhere, and where to, if not round in circles.
fn leads_nowhere(root: &Root, path: &Path) -> Option<(PathBuf, Option<PathBuf>)> {
    let mut above: Vec<_> = path.ancestors().collect();
    above.reverse();
    for it in above {
        let is_link = fs::symlink_metadata(root.entry(it)).is_ok_and(|it| it.is_symlink());
        if !is_link {
            continue;
        }
        // Nothing is a link any more in what was resolved, unless it goes round.
        match fs::symlink_metadata(root.open_as(it)) {
            Ok(found) if found.is_symlink() => return Some((it.to_owned(), None)),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {}
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Some((it.to_owned(), None));
            }
            Err(_) => return Some((it.to_owned(), Some(root.real(it)))),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_what_is_not_there_is_told_from_what_is_yet_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("var/lib")).unwrap();
        fs::create_dir_all(at("data/there")).unwrap();
        symlink("/data/there", at("var/lib/whole")).unwrap();
        symlink("/mnt/ssd/etcd", at("var/lib/dangling")).unwrap();
        symlink("/var/lib/round", at("var/lib/turn")).unwrap();
        symlink("turn", at("var/lib/round")).unwrap();
        symlink("/var/lib/round/etcd", at("var/lib/into")).unwrap();
        for (path, expected) in [
            ("/var/lib/whole", None),
            ("/var/lib/whole/none", None),
            ("/var/lib/none", None),
            ("/none/of/it", None),
            ("/var/lib/dangling", Some("leads to /mnt/ssd/etcd, which")),
            (
                "/var/lib/dangling/etcd",
                Some("below the symbolic link /var/lib/dangling that leads to /mnt"),
            ),
            ("/var/lib/round", Some("back to itself")),
            ("/var/lib/turn/etcd", Some("back to itself")),
            ("/var/lib/into", Some("link")),
        ] {
            let found = broken(&root, "the data directory", Path::new(path));
            assert_eq!(found.is_some(), expected.is_some(), "{path}: {found:?}");
            if let (Some(found), Some(expected)) = (found, expected) {
                assert!(found.message.contains(expected), "{}", found.message);
            }
        }
        fs::create_dir_all(at("mnt/ssd/etcd")).unwrap();
        let path = Path::new("/var/lib/dangling");
        assert_eq!(broken(&root, "the data directory", path), None);
    }
}
