//! What is odd about a member, seen with its machine around it (recovery-workflow's D1 to D12).

use std::path::Path;

use crate::description::is_default_loopback;
use crate::links;
use crate::static_pod::mounts::{Leads, follow};
use crate::users::owner_differs;
use crate::{Etcd, Finding, Root, RunBy};

pub(super) fn look(root: &Root, etcd: &mut Etcd) {
    let mut findings = Vec::new();
    if etcd
        .findings
        .iter()
        .any(|it| it.code.starts_with("config-file-"))
    {
        // What is known of it are defaults.
        return;
    }
    if let RunBy::StaticPod {
        mounts, manifest, ..
    } = &etcd.run_by
    {
        volumes(root, etcd, mounts, manifest, &mut findings);
    }
    if let Some(data_dir) = &etcd.data_dir.host {
        let wal_dir = etcd.wal_dir.as_ref().and_then(|it| it.host.as_deref());
        findings.extend(links::broken_of(root, data_dir, wal_dir));
    }
    peers(etcd, &mut findings);
    findings.extend(owner_differs(root, etcd));
    etcd.findings.extend(findings);
}

/// D1 and D2: where the data really is.
fn volumes(
    root: &Root,
    etcd: &Etcd,
    mounts: &[crate::Mount],
    manifest: &Path,
    findings: &mut Vec<Finding>,
) {
    let path = &etcd.data_dir.path;
    let shown = path.display();
    match follow(mounts, path) {
        Leads::IntoLayer => {
            let holding = mounts.iter().find(|mount| {
                mount
                    .host_path
                    .as_deref()
                    .is_some_and(|host| root.exists(&host.join("member/snap/db")))
            });
            let more = match holding {
                Some(mount) => format!(
                    ", while {} holds a member and is mounted at {}",
                    mount.host_path.as_deref().unwrap_or(path).display(),
                    mount.mount_path.display()
                ),
                None => String::new(),
            };
            findings.push(
                Finding::error(
                    "data-outside-volumes",
                    format!("the data directory {shown} is in no volume: it is in the container's own layer, and lost with the container{more}"),
                )
                .with_remedy("--data-dir, the volume's mountPath and its hostPath belong together: of the three, only the hostPath should ever change")
                .at(manifest),
            );
        }
        Leads::IntoVolume(mount) => findings.push(
            Finding::error(
                "data-in-other-volume",
                format!("the data directory {shown} is in the volume {:?}, which is no directory of this machine", mount.volume),
            )
            .with_remedy("give the volume a hostPath: what is in it now is lost with the pod")
            .at(manifest),
        ),
        Leads::ToMachine(host, mount) => {
            if host != *path {
                findings.push(
                    Finding::warning(
                        "container-path-differs",
                        format!("etcd calls its data directory {shown}, and on this machine it is {}", host.display()),
                    )
                    .with_remedy(format!("whatever is put into {shown} on this machine is not used: work with {}", host.display()))
                    .at(manifest),
                );
                if root.exists(&path.join("member/snap/db")) {
                    findings.push(
                        Finding::warning(
                            "restored-data-unused",
                            format!("a member lies in {shown} on this machine too, which no etcd uses: etcd runs on {}", host.display()),
                        )
                        .with_remedy("if it was restored there, only the hostPath of the volume had to be changed, not --data-dir and mountPath")
                        .at(path),
                    );
                }
            }
            if mount.read_only {
                findings.push(
                    Finding::error("data-read-only", format!("the volume {:?} of the data directory is mounted read-only", mount.volume))
                        .at(manifest),
                );
            }
            let is_there = root.exists(&host) || links::is_broken(root, &host);
            if !is_there && mount.host_path_type == "DirectoryOrCreate" {
                findings.push(
                    Finding::warning(
                        "data-dir-absent",
                        format!("{} is not there: kubelet makes it, and etcd begins with an empty database", host.display()),
                    )
                    .with_remedy("look whether the hostPath is spelled right before this pod runs")
                    .at(&host),
                );
            }
        }
    }
}

/// D9: URLs that lead each member to itself.
fn peers(etcd: &Etcd, findings: &mut Vec<Finding>) {
    let mut names: Vec<_> = etcd
        .initial_cluster
        .iter()
        .map(|entry| &entry.name)
        .collect();
    names.sort();
    names.dedup();
    if names.len() < 2 {
        return;
    }
    let local: Vec<_> = etcd
        .initial_advertise_peer_urls
        .iter()
        .filter(|url| is_default_loopback(url))
        .map(String::as_str)
        .collect();
    if !local.is_empty() {
        findings.push(
            Finding::error(
                "peer-url-is-loopback",
                format!("the cluster has {} members, and this one tells the others to reach it at {}, which is each of them itself", names.len(), local.join(", ")),
            )
            .with_remedy("advertise the address that the others can reach, with --initial-advertise-peer-urls"),
        );
    }
}
