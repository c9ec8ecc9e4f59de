//! The files in kubelet's directory: which of them are to be stopped, and which should not be there.

use std::path::{Path, PathBuf};

use etcd_snap::Digest;

use crate::recover::files::digest_of;
use crate::{Error, Finding, Node, Result, Root, static_pod};

/// A file that kubelet reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) path: PathBuf,
    pub(super) sha256: Digest,
    /// The name of its pod; `None` where it is none.
    pub(super) pod: Option<String>,
    pub(super) component: Component,
}

/// What a pod runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Component {
    ApiServer,
    ControllerManager,
    Scheduler,
    Etcd,
    Other,
}

const COMPONENTS: [(Component, &str); 4] = [
    (Component::ApiServer, "kube-apiserver"),
    (Component::ControllerManager, "kube-controller-manager"),
    (Component::Scheduler, "kube-scheduler"),
    (Component::Etcd, "etcd"),
];

/// Every file that kubelet would take.
pub(super) fn manifests(root: &Root, directory: &Path) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    // That the directory cannot be read, discovery has found.
    for path in static_pod::files(root, directory, &mut Vec::new()) {
        let bytes = root.read(&path)?;
        let identity = std::str::from_utf8(&bytes)
            .ok()
            .and_then(static_pod::identity);
        let known = identity.as_ref().and_then(|identity| {
            let mut words = identity.words.iter();
            words.find_map(|word| COMPONENTS.iter().find(|(_, known)| known == word))
        });
        manifests.push(Manifest {
            sha256: digest_of(&bytes),
            path,
            component: known.map_or(Component::Other, |(component, _)| *component),
            pod: identity.map(|identity| identity.name),
        });
    }
    Ok(manifests)
}

/// Files that kubelet would run as well, D3: of two that run the same, one wins, and it may be the old one.
pub(super) fn extra(manifests: &[Manifest], own: &Path, node: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own_pod = manifests
        .iter()
        .find(|manifest| manifest.path == own)
        .and_then(|manifest| manifest.pod.clone());
    // Like that of events; a copy has the pod's name, and perhaps the directory of before.
    let is_another_etcd = |path: &Path, pod: Option<&String>| {
        if pod == own_pod.as_ref() {
            return false;
        }
        node.etcds.iter().any(|etcd| match &etcd.run_by {
            crate::RunBy::StaticPod { manifest, .. } => {
                manifest == path
                    && node.etcds.iter().all(|other| {
                        std::ptr::eq(other, etcd) || other.data_dir.host != etcd.data_dir.host
                    })
            }
            _ => false,
        })
    };
    for (n, manifest) in manifests.iter().enumerate() {
        let twin = manifests.iter().enumerate().find(|(other, it)| {
            *other != n && it.pod.is_some() && it.pod == manifest.pod && it.path != own
        });
        let (path, pod) = (&manifest.path, manifest.pod.as_deref().unwrap_or_default());
        if manifest.component == Component::Etcd
            && path != own
            && !is_another_etcd(path, manifest.pod.as_ref())
        {
            findings.push(
                Finding::error(
                    "extra-manifest",
                    format!(
                        "{} is in kubelet's directory too and runs etcd as well: kubelet runs every file there, whatever its ending, \
                         and the old one may win",
                        path.display()
                    ),
                )
                .with_remedy("move it out of the directory: copies belong elsewhere")
                .at(path),
            );
        } else if let Some((_, twin)) = twin
            && path != own
            && path < &twin.path
        {
            findings.push(
                Finding::error(
                    "extra-manifest",
                    format!(
                        "{} and {} both have the pod {pod}: which one kubelet runs depends on the order in which it sees them",
                        path.display(),
                        twin.path.display()
                    ),
                )
                .with_remedy("move the copy out of the directory")
                .at(&twin.path),
            );
        } else if manifest.pod.is_none() {
            findings.push(
                Finding::note(
                    "not-a-pod",
                    format!(
                        "{} is in kubelet's directory and no pod: kubelet tries to run it again and again",
                        path.display()
                    ),
                )
                .with_remedy("move it out of the directory")
                .at(path),
            );
        }
    }
    findings
}

/// What has to stop while the data is exchanged, the API server first.
pub(super) fn to_stop(manifests: &[Manifest], own: &Path) -> Result<Vec<Manifest>> {
    let mut stopped: Vec<_> = manifests
        .iter()
        .filter(|manifest| {
            manifest.path == own
                || !matches!(manifest.component, Component::Etcd | Component::Other)
        })
        .cloned()
        .map(|manifest| Manifest {
            component: match manifest.path == own {
                true => Component::Etcd,
                false => manifest.component,
            },
            ..manifest
        })
        .collect();
    if !stopped.iter().any(|manifest| manifest.path == own) {
        return Err(Error::new(
            crate::ErrorKind::NotFound,
            format!("{} is not there any more", own.display()),
        )
        .with_path(own)
        .with_remedy(
            "put the manifest back into kubelet's directory, or resume the recovery that took it out",
        ));
    }
    stopped.sort_by(|one, other| (one.component, &one.path).cmp(&(other.component, &other.path)));
    Ok(stopped)
}
