//! What lies on a machine of the tests: manifests, units, certificates, written as the tools that make them would.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Ports, Starter, below};
use crate::certificates::{Authority, Leaf};
use crate::etcd::{Binaries, Version};

/// Where kubelet looks.
pub(super) const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Where the data is, unless somebody changes that.
pub(super) const DATA: &str = "/var/lib/etcd";
/// The user of the unit, known in the tree only.
pub(super) const USER: (&str, u32) = ("etcd", 52_379);

/// What the files of a machine say.
#[derive(Debug, Clone)]
pub(super) struct Description<'a> {
    pub(super) name: &'a str,
    pub(super) address: &'a str,
    pub(super) ports: &'a Ports,
    pub(super) version: Version,
    pub(super) initial_cluster: &'a str,
    pub(super) joins: bool,
    /// Whether the unit has a user of its own.
    pub(super) with_user: bool,
}

/// Where the certificates are.
pub(super) fn pki(starter: Starter) -> &'static str {
    match starter {
        Starter::Kubelet => "/etc/kubernetes/pki/etcd",
        Starter::Systemd => "/etc/etcd/pki",
    }
}

pub(super) fn write(
    root: &Path,
    starter: Starter,
    authority: &Authority,
    binaries: &Binaries,
    it: &Description<'_>,
) -> Result<()> {
    put(root, "/etc/hostname", &format!("{}\n", it.name), 0o644)?;
    put(
        root,
        "/etc/passwd",
        &format!(
            "root:x:0:0:root:/root:/bin/bash\n{0}:x:{1}:{1}::{DATA}:/usr/sbin/nologin\n",
            USER.0, USER.1
        ),
        0o644,
    )?;
    put(
        root,
        "/etc/group",
        &format!("root:x:0:\n{}:x:{}:\n", USER.0, USER.1),
        0o644,
    )?;
    certificates(root, starter, authority, it)?;
    let data = below(root, Path::new(DATA));
    fs::create_dir_all(&data)?;
    fs::set_permissions(&data, Permissions::from_mode(0o700))?;
    match starter {
        Starter::Kubelet => {
            put(
                root,
                "/var/lib/kubelet/config.yaml",
                &format!(
                    "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nstaticPodPath: {MANIFESTS}\n"
                ),
                0o644,
            )?;
            let manifest = |name: &str| format!("{MANIFESTS}/{name}.yaml");
            put(root, &manifest("etcd"), &edited_etcd_manifest(it), 0o600)?;
            put(
                root,
                &manifest("kube-apiserver"),
                &api_server_manifest(it),
                0o600,
            )?;
            for name in ["kube-controller-manager", "kube-scheduler"] {
                put(root, &manifest(name), &other_manifest(name), 0o600)?;
            }
        }
        Starter::Systemd => {
            put(
                root,
                "/usr/lib/systemd/system/etcd.service",
                &unit(it),
                0o644,
            )?;
            put(
                root,
                "/etc/systemd/system/etcd.service.d/10-limits.conf",
                "# Set by whoever installed the machine.\n[Service]\nLimitNOFILE=40000\n",
                0o644,
            )?;
            put(root, "/etc/default/etcd", &environment(it), 0o644)?;
            let program = below(root, Path::new("/usr/bin/etcd"));
            fs::create_dir_all(program.parent().context("a parent")?)?;
            if fs::hard_link(&binaries.etcd, &program).is_err() {
                fs::copy(&binaries.etcd, &program)?;
            }
            if it.with_user {
                chown(&data, Some(USER.1), Some(USER.1))?;
            }
        }
    }
    Ok(())
}

pub(super) fn put(root: &Path, path: &str, content: &str, mode: u32) -> Result<PathBuf> {
    let path = below(root, Path::new(path));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, content).with_context(|| path.display().to_string())?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

/// The names, subjects and usages of kubeadm's.
fn certificates(
    root: &Path,
    starter: Starter,
    authority: &Authority,
    it: &Description<'_>,
) -> Result<()> {
    let folder = below(root, Path::new(pki(starter)));
    fs::create_dir_all(&folder)?;
    authority.identity().write(&folder, "ca")?;
    let names = [it.name, "localhost", it.address, "127.0.0.1", "::1"];
    let own = Leaf::server().with_common_name(it.name).with_names(names);
    for name in ["server", "peer"] {
        authority.issue(&own)?.write(&folder, name)?;
    }
    let clients = match starter {
        Starter::Kubelet => [
            ("healthcheck-client", "kube-etcd-healthcheck-client"),
            ("../apiserver-etcd-client", "kube-apiserver-etcd-client"),
        ]
        .as_slice(),
        Starter::Systemd => [("client", "backup")].as_slice(),
    };
    for (name, subject) in clients {
        authority
            .issue(&Leaf::client(subject))?
            .write(&folder, name)?;
    }
    if starter == Starter::Systemd && it.with_user {
        for name in ["server", "peer"] {
            chown(
                folder.join(format!("{name}.key")),
                Some(USER.1),
                Some(USER.1),
            )?;
        }
    }
    Ok(())
}

fn image(version: Version) -> &'static str {
    match version {
        Version::V3_4 => "registry.k8s.io/etcd:3.4.23-0",
        Version::V3_5 => "registry.k8s.io/etcd:3.5.35-0",
        Version::V3_6 => "registry.k8s.io/etcd:3.6.16-0",
        Version::V3_7 => "registry.k8s.io/etcd:3.7.3-0",
    }
}

/// The flags of kubeadm, in its order: that of their names. The election is quicker than it makes it.
fn flags(it: &Description<'_>) -> Vec<String> {
    let (address, ports) = (it.address, it.ports);
    let client = ports.client.number();
    let peer = ports.peer.number();
    let pki = pki(Starter::Kubelet);
    let mut flags = vec![
        format!("--advertise-client-urls=https://{address}:{client}"),
        format!("--cert-file={pki}/server.crt"),
        "--client-cert-auth=true".to_owned(),
        format!("--data-dir={DATA}"),
        "--election-timeout=500".to_owned(),
        "--heartbeat-interval=50".to_owned(),
        format!("--initial-advertise-peer-urls=https://{address}:{peer}"),
        format!("--initial-cluster={}", it.initial_cluster),
        format!("--key-file={pki}/server.key"),
        format!("--listen-client-urls=https://127.0.0.1:{client},https://{address}:{client}"),
        format!(
            "--listen-metrics-urls=http://127.0.0.1:{}",
            ports.metrics.number()
        ),
        format!("--listen-peer-urls=https://{address}:{peer}"),
        format!("--name={}", it.name),
        format!("--peer-cert-file={pki}/peer.crt"),
        "--peer-client-cert-auth=true".to_owned(),
        format!("--peer-key-file={pki}/peer.key"),
        format!("--peer-trusted-ca-file={pki}/ca.crt"),
        "--snapshot-count=10000".to_owned(),
        format!("--trusted-ca-file={pki}/ca.crt"),
    ];
    if it.joins {
        flags.push("--initial-cluster-state=existing".to_owned());
    }
    if it.version < Version::V3_6 {
        flags.push("--experimental-initial-corrupt-check=true".to_owned());
        flags.push("--experimental-watch-progress-notify-interval=5s".to_owned());
    } else {
        flags.push("--feature-gates=InitialCorruptCheck=true".to_owned());
        flags.push("--watch-progress-notify-interval=5s".to_owned());
    }
    flags.sort();
    flags
}

/// As kubeadm writes it, at first and at each upgrade.
pub(super) fn etcd_manifest(it: &Description<'_>) -> String {
    let flags: Vec<_> = flags(it)
        .iter()
        .map(|flag| format!("    - {flag}\n"))
        .collect();
    let metrics = it.ports.metrics.number();
    let pki = pki(Starter::Kubelet);
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://{address}:{client}
  creationTimestamp: null
  labels:
    component: etcd
    tier: control-plane
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
{flags}    image: {image}
    imagePullPolicy: IfNotPresent
    livenessProbe:
      failureThreshold: 8
      httpGet:
        host: 127.0.0.1
        path: /health?exclude=NOSPACE&serializable=true
        port: {metrics}
        scheme: HTTP
      initialDelaySeconds: 10
      periodSeconds: 10
      timeoutSeconds: 15
    name: etcd
    resources:
      requests:
        cpu: 100m
        memory: 100Mi
    volumeMounts:
    - mountPath: {DATA}
      name: etcd-data
    - mountPath: {pki}
      name: etcd-certs
  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
  volumes:
  - hostPath:
      path: {pki}
      type: DirectoryOrCreate
    name: etcd-certs
  - hostPath:
      path: {DATA}
      type: DirectoryOrCreate
    name: etcd-data
status: {{}}
",
        address = it.address,
        client = it.ports.client.number(),
        flags = flags.concat(),
        image = image(it.version),
    )
}

/// The same after years of hands that knew YAML: what means the same and looks otherwise.
fn edited_etcd_manifest(it: &Description<'_>) -> String {
    let edits = [
        ("kind: Pod\n", "kind: Pod   # runs on every control plane\n"),
        (
            "    - --snapshot-count=10000\n",
            "    # less memory: 2021-03, see the runbook\n    - \"--snapshot-count=10000\"   # was 100000\n",
        ),
        (
            "    - --data-dir=/var/lib/etcd\n",
            "    - --data-dir=/var/lib/etcd   # on its own disk\n",
        ),
        (
            "  - hostPath:\n      path: /var/lib/etcd\n      type: DirectoryOrCreate\n",
            "\n  # Not the system's disk!\n  - hostPath:\n        path:   '/var/lib/etcd'    # do not move\n        type: DirectoryOrCreate\n",
        ),
        (
            "    resources:\n      requests:\n        cpu: 100m\n        memory: 100Mi\n",
            "    resources: {requests: {cpu: 100m, memory: \"100Mi\"}}\n",
        ),
    ];
    edits
        .iter()
        .fold(etcd_manifest(it), |text, (from, to)| text.replace(from, to))
}

fn api_server_manifest(it: &Description<'_>) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  labels:
    component: kube-apiserver
    tier: control-plane
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address={address}
    - --etcd-cafile={pki}/ca.crt
    - --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt
    - --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key
    - --etcd-servers=https://127.0.0.1:{client}
    - --secure-port={port}
    image: registry.k8s.io/kube-apiserver:v1.33.2
    name: kube-apiserver
    volumeMounts:
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {{}}
",
        address = it.address,
        pki = pki(Starter::Kubelet),
        client = it.ports.client.number(),
        port = it.ports.api_server.number(),
    )
}

fn other_manifest(name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  labels:
    component: {name}
    tier: control-plane
  name: {name}
  namespace: kube-system
spec:
  containers:
  - command:
    - {name}
    - --leader-elect=true
    image: registry.k8s.io/{name}:v1.33.2
    name: {name}
  hostNetwork: true
status: {{}}
"
    )
}

fn unit(it: &Description<'_>) -> String {
    let user = if it.with_user {
        format!("User={}\n", USER.0)
    } else {
        String::new()
    };
    format!(
        "[Unit]
Description=etcd, a store of keys for this cluster
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
{user}Environment=ETCD_DATA_DIR={DATA} \"ETCD_NAME=%p\"
EnvironmentFile=-/etc/default/%p
ExecStart=/usr/bin/etcd \\
    --snapshot-count=10000 \\
    $DAEMON_ARGS
Restart=on-failure
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"
    )
}

fn environment(it: &Description<'_>) -> String {
    let (address, ports) = (it.address, it.ports);
    let client = ports.client.number();
    let peer = ports.peer.number();
    let pki = pki(Starter::Systemd);
    format!(
        "# This machine's member.
ETCD_NAME={name}
ETCD_INITIAL_CLUSTER=\"{cluster}\"
ETCD_INITIAL_CLUSTER_TOKEN='etcd-of-the-tests'
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://{address}:{peer}
ETCD_ADVERTISE_CLIENT_URLS=https://{address}:{client}
ETCD_LISTEN_PEER_URLS=https://{address}:{peer}
ETCD_LISTEN_CLIENT_URLS=https://127.0.0.1:{client},https://{address}:{client}
ETCD_LISTEN_METRICS_URLS=http://127.0.0.1:{metrics}
ETCD_HEARTBEAT_INTERVAL=50
ETCD_ELECTION_TIMEOUT=500

# Who may talk to it.
ETCD_CERT_FILE={pki}/server.crt
ETCD_KEY_FILE={pki}/server.key
ETCD_TRUSTED_CA_FILE={pki}/ca.crt
ETCD_CLIENT_CERT_AUTH=true
ETCD_PEER_CERT_FILE={pki}/peer.crt
ETCD_PEER_KEY_FILE={pki}/peer.key
ETCD_PEER_TRUSTED_CA_FILE={pki}/ca.crt
ETCD_PEER_CLIENT_CERT_AUTH=true

DAEMON_ARGS=\"--quota-backend-bytes=2147483648 --auto-compaction-retention=0\"
",
        name = it.name,
        cluster = it.initial_cluster,
        metrics = ports.metrics.number(),
    )
}
