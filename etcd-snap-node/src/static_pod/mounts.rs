//! From a path in a container to the path on the machine.

use std::path::{Component, Path, PathBuf};

use super::pod::{Container, Pod};
use super::variables::Variables;
use crate::{Finding, Mount, Place};

/// Where a path of a container leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Leads<'a> {
    /// To this path of the machine, by this mount.
    ToMachine(PathBuf, &'a Mount),
    /// Into a volume that is no directory of the machine.
    IntoVolume(&'a Mount),
    /// Into the container's own layer.
    IntoLayer,
}

/// The mounts of a container, in the order of its manifest.
pub(super) fn of(
    container: &Container,
    pod: &Pod,
    variables: &Variables,
    findings: &mut Vec<Finding>,
) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.as_deref().unwrap_or_default() {
        let (Some(name), Some(mount_path)) = (&mount.name, &mount.mount_path) else {
            findings.push(Finding::error(
                "volume-mount-incomplete",
                "a volume mount of etcd's container lacks its name or its mountPath: kubelet refuses the pod",
            ));
            continue;
        };
        let volume = pod
            .volumes()
            .iter()
            .find(|volume| volume.name.as_ref() == Some(name));
        if volume.is_none() {
            findings.push(
                Finding::error(
                    "volume-missing",
                    format!(
                        "etcd's container mounts the volume {name:?} at {}, and the pod has no volume of that name: kubelet refuses the pod",
                        mount_path.display()
                    ),
                )
                .with_remedy("give both the same name"),
            );
        }
        let host_path = volume.and_then(|volume| volume.host_path.as_ref());
        let below = match (&mount.sub_path, &mount.sub_path_expr) {
            (Some(below), _) => Some(below.clone()),
            (None, Some(below)) => Some(variables.expand(below)),
            (None, None) => None,
        };
        let path = host_path.and_then(|it| it.path.clone());
        mounts.push(Mount {
            volume: name.clone(),
            mount_path: mount_path.clone(),
            host_path: path.map(|path| match &below {
                Some(below) => path.join(below),
                None => path,
            }),
            host_path_type: host_path
                .and_then(|it| it.kind.clone())
                .unwrap_or_default(),
            read_only: mount.read_only.unwrap_or(false),
        });
    }
    mounts
}

/// The kind of a volume that is no hostPath, like `emptyDir`.
pub(super) fn kind_of(pod: &Pod, volume: &str) -> Option<String> {
    let volume = pod
        .volumes()
        .iter()
        .find(|it| it.name.as_deref() == Some(volume))?;
    volume.others.keys().next().cloned()
}

/// Follows a path into the mount that covers it most closely: the longest one, by whole components.
pub(crate) fn follow<'a>(mounts: &'a [Mount], path: &Path) -> Leads<'a> {
    let path = clean(path);
    let covering = mounts
        .iter()
        .filter(|mount| path.starts_with(clean(&mount.mount_path)))
        .max_by_key(|mount| clean(&mount.mount_path).components().count());
    let Some(mount) = covering else {
        return Leads::IntoLayer;
    };
    let Some(host_path) = &mount.host_path else {
        return Leads::IntoVolume(mount);
    };
    let rest = path
        .strip_prefix(clean(&mount.mount_path))
        .unwrap_or(Path::new(""));
    Leads::ToMachine(clean(&host_path.join(rest)), mount)
}

/// The two sides of a path of the container.
pub(crate) fn place(mounts: &[Mount], path: &Path) -> Place {
    let host = match follow(mounts, path) {
        Leads::ToMachine(host, _) => Some(host),
        Leads::IntoVolume(_) | Leads::IntoLayer => None,
    };
    Place::new(path, host)
}

/// Without `.`, `..` and a slash at the end, by the letters alone.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::CurDir => {}
            _ => cleaned.push(component),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(at: &str, host: Option<&str>) -> Mount {
        Mount {
            volume: at.replace('/', ""),
            mount_path: at.into(),
            host_path: host.map(PathBuf::from),
            host_path_type: String::new(),
            read_only: false,
        }
    }

    #[test]
    fn the_closest_mount_counts_by_whole_components() {
        let mounts = [
            mount("/var/lib", Some("/srv")),
            mount("/var/lib/etcd/", Some("/data/../etcd-new/")),
            mount("/var/lib/etcd/cache", None),
            mount("/etc/file.crt", Some("/host/file.crt")),
        ];
        for (path, expected) in [
            ("/var/lib/etcd", Some("/etcd-new")),
            ("/var/lib/etcd/", Some("/etcd-new")),
            ("/var/lib/etcd/member/wal", Some("/etcd-new/member/wal")),
            ("/var/lib/etcd/../etcd/x", Some("/etcd-new/x")),
            ("/var/lib/etcd-backup", Some("/srv/etcd-backup")),
            ("/var/lib/etcd/cache/x", None),
            ("/var/libx", None),
            ("/etc/file.crt", Some("/host/file.crt")),
            ("etcd", None),
        ] {
            let place = place(&mounts, Path::new(path));
            assert_eq!(place.host.as_deref(), expected.map(Path::new), "{path}");
        }
        assert!(matches!(
            follow(&mounts, Path::new("/var/lib/etcd/cache")),
            Leads::IntoVolume(_)
        ));
    }
}
