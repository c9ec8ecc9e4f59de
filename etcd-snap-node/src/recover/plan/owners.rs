//! Distributions that own their etcd: what they do at its start would undo, or refuse, what is done here.

use std::path::Path;

use super::shell::path;
use crate::{Etcd, Finding, Layout};

/// Why this recovery is not applied, and how theirs goes; `None` where nobody else owns the etcd.
pub(super) fn owned(etcd: &Etcd, snapshot: &Path) -> Option<Finding> {
    let owner = etcd.layout.owner()?;
    let file = path(snapshot);
    let (because, way) = match etcd.layout {
        Layout::K3s => (
            "k3s runs etcd inside its server and writes its configuration anew at each start",
            format!(
                "on one server: `systemctl stop k3s`, `k3s server --cluster-reset --cluster-reset-restore-path={file}`, `systemctl start k3s`; \
                 on each other server: `systemctl stop k3s`, `rm -rf /var/lib/rancher/k3s/server/db`, `systemctl start k3s`"
            ),
        ),
        Layout::Rke2 => (
            "RKE2 writes the manifest and the configuration of its etcd anew at each start",
            format!(
                "on one server: `systemctl stop rke2-server`, `rke2 server --cluster-reset --cluster-reset-restore-path={file}`, `systemctl \
                 start rke2-server`; on each other server: `systemctl stop rke2-server`, `rm -rf /var/lib/rancher/rke2/server/db`, \
                 `systemctl start rke2-server`"
            ),
        ),
        Layout::OpenShift => (
            "OpenShift's etcd operator writes the manifests of its etcd anew and adds members itself",
            "on the recovery host: put the snapshot and the `static_kuberesources_*.tar.gz` of the same backup into one directory, and run \
             `/usr/local/bin/cluster-restore.sh DIRECTORY`; the static pods of the other control plane hosts are stopped before, as the \
             version's documentation says"
                .to_owned(),
        ),
        Layout::KOps => (
            "etcd-manager of kOps starts etcd itself, from the backups in its own store",
            "put the snapshot into the store as a backup of etcd-manager, then `etcd-manager-ctl --backup-store=STORE restore-backup NAME`, \
             and restart the etcd-manager pods; `etcd-manager-ctl --backup-store=STORE list-backups` shows the names"
                .to_owned(),
        ),
        Layout::Talos => (
            "Talos has no shell and no manifest of etcd: only its own API starts it",
            format!(
                "from a machine with talosctl: `talosctl -n NODE reset --graceful=false --reboot --system-labels-to-wipe=EPHEMERAL` on every \
                 control plane node, and then on one of them `talosctl -n NODE bootstrap --recover-from={file}`"
            ),
        ),
        _ => return None,
    };
    Some(
        Finding::error(
            "owned-by-others",
            format!("this etcd is {owner}'s: {because}; nothing is applied here"),
        )
        .with_remedy(format!("{owner}'s own way: {way}")),
    )
}
