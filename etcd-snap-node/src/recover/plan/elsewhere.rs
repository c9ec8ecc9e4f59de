//! What is left to do: on the other nodes, and afterwards.

use std::path::Path;

use etcd_snap::{NewMember, SnapshotMember};

use super::PlanOptions;
use super::members::Members;
use super::shell::{path, word};
use super::steps::is_of_kubernetes;
use crate::{Etcd, RunBy};

/// Where no file was named.
const SOME_FILE: &str = "PLAN-FILE";

/// What the other nodes must do.
pub(super) fn others(
    members: &Members,
    old: &[SnapshotMember],
    etcd: &Etcd,
    snapshot: &Path,
    options: &PlanOptions,
) -> Vec<String> {
    let all = members.cluster.members();
    if all.len() > 1 {
        return all
            .iter()
            .filter(|member| member.name() != members.own)
            .map(|member| same_plan(member, snapshot, options))
            .chain([format!(
                "The cluster answers when {} of its {} members are recovered; `etcd-snap recover --resume` on any of these nodes proves it \
                 then.",
                quorum(all.len()),
                all.len()
            )])
            .collect();
    }
    let mut old: Vec<_> = old.iter().collect();
    old.sort_by(|one, other| one.name.cmp(&other.name));
    let gone: Vec<_> = old
        .iter()
        .filter(|member| !member.name.is_empty() && member.name != members.own)
        .map(|member| format!("{} ({})", member.name, member.peer_urls.join(",")))
        .collect();
    if gone.is_empty() {
        return Vec::new();
    }
    let mut others = vec![format!(
        "The new cluster has this node's member only. On each of the other nodes, {}: stop etcd and, where there is one, the API server \
         before this node serves, or its clients go on with the old data.",
        gone.join(", ")
    )];
    match &etcd.run_by {
        RunBy::StaticPod { .. } => others.push(
            "Then, one node after the other: `kubeadm reset --force` there, which empties its data directory, and `kubeadm join ... \
             --control-plane` with a fresh token (`kubeadm token create --print-join-command` and `kubeadm init phase upload-certs \
             --upload-certs` on this node)."
                .to_owned(),
        ),
        _ => {
            let example = old
                .iter()
                .find(|member| !member.name.is_empty() && member.name != members.own);
            let add = example.map_or_else(String::new, |member| {
                format!(
                    " (here `etcd-snap etcdctl member add {} --peer-urls {}`)",
                    word(&member.name),
                    word(&member.peer_urls.join(","))
                )
            });
            others.push(format!(
                "Then, one node after the other: move its data directory away, add its member on this node{add}, and start etcd there with \
                 `--initial-cluster-state existing` and the initial cluster that this has printed; wait until it has caught up before the \
                 next one.",
            ));
        }
    }
    others
}

pub(super) fn quorum(members: usize) -> usize {
    members / 2 + 1
}

fn same_plan(member: &NewMember, snapshot: &Path, options: &PlanOptions) -> String {
    let plan = options
        .plan_file
        .as_deref()
        .map_or_else(|| SOME_FILE.to_owned(), path);
    let snapshot = path(snapshot);
    format!(
        "On {} ({}): copy {snapshot} and {plan} there, then `etcd-snap recover {snapshot} --plan-file {plan} --apply`.",
        member.name(),
        member.peer_urls()
    )
}

/// What becomes of watches that were open before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::recover) enum Watches {
    /// The revision was moved ahead of all that they have seen.
    Cancelled,
    /// It was not, or has gone back.
    Left,
}

/// What to restart when etcd serves.
pub(in crate::recover) fn afterwards(
    etcd: &Etcd,
    stops_components: bool,
    members: usize,
    watches: Watches,
) -> Vec<String> {
    let mut afterwards = Vec::new();
    if is_of_kubernetes(etcd) {
        if !stops_components {
            afterwards.push(
                "kube-apiserver, kube-controller-manager and kube-scheduler on every control plane node: they have seen what is gone."
                    .to_owned(),
            );
        } else if members > 1 {
            afterwards.push(
                "kube-apiserver, kube-controller-manager and kube-scheduler on control plane nodes that are not recovered themselves: \
                 what is recovered has restarted them."
                    .to_owned(),
            );
        }
        afterwards.extend(
            [
                "kubelet and kube-proxy on every node: `systemctl restart kubelet`, and `kubectl -n kube-system rollout restart \
                 daemonset kube-proxy`.",
                "Network and storage plug-ins, operators, and whatever else watches the API: `kubectl rollout restart` of their \
                 deployments and daemon sets.",
            ]
            .map(str::to_owned),
        );
    } else {
        afterwards.push(
            "Clients that watch, or keep what they have read: they have seen what is gone."
                .to_owned(),
        );
    }
    afterwards.push(match watches {
        Watches::Left => "Watches that were open before are not cancelled, as the revision is not ahead of what they have seen: whoever watched waits for what never \
              comes until it is restarted."
            .to_owned(),
        Watches::Cancelled => "Watches that were open before are cancelled by the server, as the revision is moved ahead: clients that list again on that \
              find their way themselves."
            .to_owned(),
    });
    afterwards
}
