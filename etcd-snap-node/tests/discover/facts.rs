//! What people know of the machines: written by hand, so that no update of the descriptions can hide a mistake.

use super::*;

/// The tree, the etcd's name, its data on the machine, where a client dials first, and what has to be found.
type Facts = (
    &'static str,
    Option<(&'static str, Option<&'static str>, &'static str)>,
    &'static [&'static str],
);

const LOCAL: &str = "https://127.0.0.1:2379";
const DATA: Option<&str> = Some("/var/lib/etcd");

/// D1 to D17 are those of recovery by hand.
const FACTS: &[Facts] = &[
    ("kubeadm-1.17", Some(("north", DATA, LOCAL)), &[]),
    ("kubeadm-1.19", Some(("north", DATA, LOCAL)), &[]),
    ("kubeadm-1.25", Some(("north", DATA, LOCAL)), &[]),
    ("kubeadm-1.27-joined", Some(("west", DATA, LOCAL)), &[]),
    ("kubeadm-1.29-comments", Some(("north", DATA, LOCAL)), &[]),
    (
        "kubeadm-1.32",
        Some(("node-control-plane", DATA, LOCAL)),
        &[],
    ),
    ("kubeadm-1.34", Some(("north", DATA, LOCAL)), &[]),
    ("kubeadm-1.35", Some(("north", DATA, LOCAL)), &[]),
    ("kubeadm-rootless", Some(("north", DATA, LOCAL)), &[]),
    (
        "kubeadm-ipv6",
        Some(("six", DATA, "https://[::1]:2379")),
        &[],
    ),
    ("kubeadm-external-etcd", None, &["etcd-elsewhere"]),
    (
        "minikube",
        Some(("minikube", Some("/var/lib/minikube/etcd"), LOCAL)),
        &["setting-deprecated"],
    ),
    (
        "mirror-pod-dump",
        Some(("kind-control-plane", DATA, LOCAL)),
        &["mirror-pod-dump"],
    ),
    ("kops", None, &["owned-by-kops"]),
    (
        "openshift",
        Some(("north", DATA, "https://127.0.0.1:2379")),
        &[],
    ),
    // D1: restored, and etcd is told of a directory in the container's own layer.
    (
        "edited-no-data-dir",
        Some(("north", None, LOCAL)),
        &["data-dir-not-set", "data-outside-volumes"],
    ),
    // D2: one, two or the wrong ones of three places edited.
    (
        "edited-hostpath-only",
        Some(("north", Some("/var/lib/etcd-new"), LOCAL)),
        &["container-path-differs"],
    ),
    (
        "edited-mount-not-hostpath",
        Some(("north", DATA, LOCAL)),
        &["container-path-differs", "restored-data-unused"],
    ),
    (
        "edited-data-dir-only",
        Some(("north", None, LOCAL)),
        &["data-outside-volumes"],
    ),
    (
        "edited-hostpath-mistyped",
        Some(("north", Some("/var/lib/etcd-form-backup"), LOCAL)),
        &["data-dir-absent"],
    ),
    (
        "edited-misindented",
        Some(("north", DATA, LOCAL)),
        &["edited-misindented-flag"],
    ),
    (
        "edited-custom-paths",
        Some(("north", Some("/data/etcd"), LOCAL)),
        &[],
    ),
    ("edited-truncated", None, &["manifest-not-yaml"]),
    ("edited-two-containers", None, &["two-etcd-containers"]),
    ("edited-no-etcd-container", None, &["no-etcd-container"]),
    // D3: the copy is live.
    (
        "edited-copy-in-manifests",
        Some(("north", Some("/var/lib/etcd-restored"), LOCAL)),
        &["extra-manifest"],
    ),
    // D9: each member would be sent to itself.
    (
        "edited-loopback-peer",
        Some(("north", DATA, LOCAL)),
        &["peer-url-is-loopback"],
    ),
    (
        "systemd-debian",
        Some((
            "store-1",
            Some("/var/lib/etcd/default"),
            "http://localhost:2379",
        )),
        &[],
    ),
    (
        "systemd-debian-variables",
        Some((
            "store-1",
            Some("/var/lib/etcd/default"),
            "http://127.0.0.1:2379",
        )),
        &[],
    ),
    (
        "systemd-flag-and-variable",
        Some((
            "one",
            Some("/var/lib/etcd/one.etcd"),
            "http://localhost:2379",
        )),
        &["setting-twice"],
    ),
    ("systemd-hard-way", Some(("head-0", DATA, LOCAL)), &[]),
    // D12: what is set last, where nobody looks, counts.
    (
        "systemd-drop-ins-override",
        Some(("store-1", Some("/srv/etcd"), "http://localhost:2379")),
        &[],
    ),
    (
        "systemd-override-args",
        Some((
            "store-1",
            Some("/var/lib/etcd/default"),
            "http://127.0.0.1:2379",
        )),
        &[],
    ),
    ("systemd-gateway", None, &["no-member", "variable-not-set"]),
    ("systemd-no-exec-start", None, &["exec-start-absent"]),
    (
        "systemd-variable-not-set",
        Some(("", DATA, "http://localhost:2379")),
        &["variable-not-set"],
    ),
    (
        "systemd-wrapper",
        Some(("boat-1", DATA, "http://127.0.0.1:2379")),
        &["wrapper"],
    ),
    ("kubespray-host", Some(("etcd1", DATA, LOCAL)), &[]),
    (
        "kubespray-docker",
        Some(("etcd1", DATA, LOCAL)),
        &["wrapper"],
    ),
    (
        "config-file-misplaced-key",
        Some(("head-2", DATA, "http://127.0.0.1:2379")),
        &["misplaced-key"],
    ),
    (
        "config-file-force-new",
        Some(("solo", DATA, "http://127.0.0.1:2379")),
        &["force-new-cluster"],
    ),
    (
        "config-file-and-variables",
        Some(("counted", Some("/var/lib/counted"), "http://localhost:2379")),
        &["setting-ignored"],
    ),
    (
        "config-file-absent",
        Some(("default", None, "http://localhost:2379")),
        &["config-file-absent"],
    ),
    (
        "k3s",
        Some((
            "boat-1-0a1b2c3d",
            Some("/var/lib/rancher/k3s/server/db/etcd"),
            LOCAL,
        )),
        &[],
    ),
    (
        "rke2",
        Some((
            "farm-1-0a1b2c3d",
            Some("/var/lib/rancher/rke2/server/db/etcd"),
            LOCAL,
        )),
        &[],
    ),
    (
        "rke2-config-only",
        Some((
            "farm-2-0a1b2c3d",
            Some("/var/lib/rancher/rke2/server/db/etcd"),
            LOCAL,
        )),
        &[],
    ),
    ("talos", None, &["talos"]),
    ("nothing", None, &[]),
];

#[test]
fn every_machine_is_known_as_people_know_it() -> Result<()> {
    let known: Vec<_> = FACTS.iter().map(|(name, ..)| *name).collect();
    for (name, _) in trees()? {
        ensure!(known.contains(&name.as_str()), "nobody says what {name} is");
    }
    let mut wrong = Vec::new();
    for (name, etcd, codes) in FACTS {
        let node = found_in(&nodes().join(name).join("root"))?;
        let found = node.etcd(None).ok();
        let facts = found.map(|found| {
            let endpoint = found.endpoints().into_iter().next().unwrap_or_default();
            let data = found
                .data_dir
                .host
                .as_ref()
                .map(|path| path.display().to_string());
            (found.name.clone(), data, endpoint)
        });
        let expected = etcd.map(|(name, data, endpoint)| {
            (
                name.to_owned(),
                data.map(str::to_owned),
                endpoint.to_owned(),
            )
        });
        if facts != expected {
            wrong.push(format!("{name}: expected {expected:?}, found {facts:?}"));
        }
        let all = node
            .etcds
            .iter()
            .flat_map(|etcd| &etcd.findings)
            .chain(&node.findings);
        let found: Vec<_> = all.map(|finding| finding.code.as_str()).collect();
        for code in *codes {
            if !found.contains(code) {
                wrong.push(format!("{name}: {code} is not among {found:?}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Where nothing was edited, nothing is wrong but that the certificates are not in the tree.
#[test]
fn nothing_else_is_wrong_with_what_nobody_edited() -> Result<()> {
    for (name, _, codes) in FACTS {
        if name.starts_with("edited-") || !codes.is_empty() {
            continue;
        }
        let node = found_in(&nodes().join(name).join("root"))?;
        let all = node
            .etcds
            .iter()
            .flat_map(|etcd| &etcd.findings)
            .chain(&node.findings);
        for finding in all {
            let of_certificates =
                finding.code.starts_with("certificate-") || finding.code.starts_with("key-");
            let is_expected = of_certificates || finding.code == "data-dir-absent";
            ensure!(
                is_expected || finding.severity < etcd_snap_node::Severity::Error,
                "{name}: {finding:?}"
            );
        }
    }
    Ok(())
}
