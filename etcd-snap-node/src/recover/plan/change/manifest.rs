//! A static pod: the hostPath of the volume that the data is in.

use std::path::{Path, PathBuf};

use super::{cannot_edit, change, refused, text_of, yaml};
use crate::recover::FileChange;
use crate::{Etcd, Mount, Place, Result, Root};

pub(super) fn change_of(
    etcd: &Etcd,
    manifest: &Path,
    mounts: &[Mount],
    new: &Path,
    root: &Root,
) -> Result<FileChange> {
    let seen = &etcd.data_dir.path;
    let mount = mount_of(seen, mounts)
        .ok_or_else(|| refused(&format!("{} is in no volume of the pod", seen.display())))?;
    require_nothing_else_in(mount, etcd, mounts)?;
    // What lies between the volume and the data: it stays, and so the new directory has to end with it.
    let below = seen
        .strip_prefix(&mount.mount_path)
        .unwrap_or(Path::new(""));
    let host_path = without_end(new, below).ok_or_else(|| {
        refused(&format!(
            "the data is in {} of the volume {}, and the new directory {} does not end with that",
            below.display(),
            mount.volume,
            new.display()
        ))
        .with_remedy(format!(
            "name a directory that ends with /{}, or leave --new-data-dir out",
            below.display()
        ))
    })?;
    let before = root.read_text(manifest)?;
    let path = [
        yaml::Step::Key("spec"),
        yaml::Step::Key("volumes"),
        yaml::Step::Named(&mount.volume),
        yaml::Step::Key("hostPath"),
        yaml::Step::Key("path"),
    ];
    let what = format!("the hostPath of the volume {}", mount.volume);
    let after = yaml::set_scalar(&before, &path, &text_of(&host_path)?)
        .map_err(|why| cannot_edit(manifest, &what, &why))?;
    Ok(change(manifest, Some(before), after))
}

/// As kubelet and the kernel see it: the longest path counts.
fn mount_of<'a>(path: &Path, mounts: &'a [Mount]) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.mount_path))
        .max_by_key(|mount| mount.mount_path.components().count())
}

/// Whatever else etcd finds in the volume would not be there any more.
fn require_nothing_else_in(volume: &Mount, etcd: &Etcd, mounts: &[Mount]) -> Result<()> {
    let tls = [&etcd.client_tls, &etcd.peer_tls];
    let files = tls
        .iter()
        .flat_map(|tls| [&tls.certificate, &tls.key, &tls.trusted_ca])
        .flatten();
    for Place { path, .. } in files.chain(&etcd.config_file) {
        if mount_of(path, mounts).is_some_and(|it| it.volume == volume.volume) {
            return Err(refused(&format!(
                "{} is in the volume {} as well, and would not be there any more",
                path.display(),
                volume.volume
            )));
        }
    }
    let uses = mounts.iter().filter(|it| it.volume == volume.volume);
    match uses.count() {
        1 => Ok(()),
        uses => Err(refused(&format!(
            "the volume {} is mounted in {uses} places",
            volume.volume
        ))),
    }
}

fn without_end(path: &Path, end: &Path) -> Option<PathBuf> {
    if end.as_os_str().is_empty() {
        return Some(path.to_owned());
    }
    let count = end.components().count();
    let above = path.ancestors().nth(count)?;
    (path.strip_prefix(above).ok()? == end && above.parent().is_some()).then(|| above.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_taken_away_whole() {
        for (path, end, left) in [
            ("/new", "", Some("/new")),
            ("/new/data", "data", Some("/new")),
            ("/new/a/b", "a/b", Some("/new")),
            ("/new/xdata", "data", None),
            ("/data", "data", None),
        ] {
            let found = without_end(Path::new(path), Path::new(end));
            assert_eq!(found.as_deref(), left.map(Path::new), "{path} {end}");
        }
    }
}
