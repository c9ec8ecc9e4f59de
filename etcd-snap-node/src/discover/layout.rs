//! Whose layout of files and directories it is.

use std::path::Path;

use crate::{Etcd, Layout, Root, RunBy};

pub(super) fn of(root: &Root, etcd: &Etcd) -> Layout {
    let data = etcd.data_dir.host.as_deref();
    let data_is_below = |directory: &str| data.is_some_and(|data| data.starts_with(directory));
    match &etcd.run_by {
        RunBy::StaticPod {
            manifest, mounts, ..
        } => {
            let mounted = |path: &str| {
                mounts.iter().any(|mount| {
                    mount
                        .host_path
                        .as_deref()
                        .is_some_and(|host| host.starts_with(path))
                })
            };
            if manifest.starts_with("/var/lib/rancher/rke2") {
                Layout::Rke2
            } else if mounted("/var/lib/minikube") {
                Layout::Minikube
            } else if mounted("/etc/kubernetes/static-pod-resources")
                || root.exists(Path::new("/etc/kubernetes/static-pod-resources/etcd-certs"))
            {
                Layout::OpenShift
            } else if manifest.starts_with("/etc/kubernetes") {
                Layout::Kubeadm
            } else {
                Layout::Other
            }
        }
        RunBy::Systemd {
            environment_files, ..
        } => {
            let of_kubespray = environment_files.iter().any(|file| {
                matches!(
                    file.to_str(),
                    Some("/etc/etcd.env" | "/etc/etcd-events.env")
                )
            });
            match of_kubespray {
                true => Layout::Kubespray,
                false => Layout::Systemd,
            }
        }
        RunBy::Embedded { service } if service.starts_with("rke2") => Layout::Rke2,
        RunBy::Embedded { .. } => Layout::K3s,
        RunBy::Process if data_is_below("/var/lib/rancher/k3s") => Layout::K3s,
        RunBy::Process if data_is_below("/var/lib/rancher/rke2") => Layout::Rke2,
        RunBy::Process => Layout::Other,
    }
}
