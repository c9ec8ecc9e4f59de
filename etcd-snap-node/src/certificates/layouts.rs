//! Where pairs for clients of etcd lie, by the habits of those who make them.

use std::path::{Path, PathBuf};

use crate::{Etcd, Layout, Place, Root};

/// A certificate and its key that a client may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Why it would be taken, like `the pair that kubeadm made for health checks`.
    pub(crate) because: String,
}

impl Pair {
    pub(crate) fn new(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        because: &str,
    ) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            because: because.to_owned(),
        }
    }
}

/// The pairs that lie on the machine for clients of this member, best first; some of them may not be there.
pub(super) fn pairs(etcd: &Etcd, root: &Root, named: &[Pair]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for directory in directories(etcd) {
        made_by_kubeadm(&directory, &mut pairs);
        if matches!(etcd.layout, Layout::K3s | Layout::Rke2) {
            let because = format!(
                "the pair that {} made for clients",
                etcd.layout.owner().unwrap_or("k3s")
            );
            pairs.push(Pair::new(
                directory.join("client.crt"),
                directory.join("client.key"),
                &because,
            ));
        }
        // OpenShift keeps every pair in a directory of its own.
        if let Some(secrets) = directory
            .ancestors()
            .find(|it| it.file_name().is_some_and(|name| name == "secrets"))
        {
            let client = secrets.join("etcd-client");
            pairs.push(Pair::new(
                client.join("tls.crt"),
                client.join("tls.key"),
                "the pair that OpenShift made for clients",
            ));
        }
    }
    pairs.retain(|pair| root.exists(&pair.certificate) || etcd.layout == Layout::Kubeadm);
    pairs.extend(named.iter().cloned());
    for directory in directories(etcd) {
        made_by_kubespray(&directory, root, &mut pairs);
    }
    for directory in directories(etcd) {
        made_by_hand(&directory, root, &mut pairs);
    }
    let own = [
        (
            &etcd.peer_tls,
            "the member's own pair for peers, which is for clients as well",
        ),
        (
            &etcd.client_tls,
            "the member's own pair, which is for clients as well",
        ),
    ];
    for (tls, because) in own {
        if let (Some(certificate), Some(key)) = (host(&tls.certificate), host(&tls.key)) {
            pairs.push(Pair::new(certificate, key, because));
        }
    }
    let mut known: Vec<(PathBuf, PathBuf)> = Vec::new();
    pairs.retain(|pair| {
        let files = (pair.certificate.clone(), pair.key.clone());
        let is_new = !known.contains(&files);
        known.push(files);
        is_new
    });
    pairs
}

/// Files that may hold the authority that signed the server's certificate, best first.
pub(super) fn authorities(etcd: &Etcd, named: &[PathBuf]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = [&etcd.client_tls.trusted_ca, &etcd.peer_tls.trusted_ca]
        .into_iter()
        .filter_map(host)
        .collect();
    files.extend(named.iter().cloned());
    for directory in directories(etcd) {
        for name in ["ca.crt", "ca.pem", "server-ca.crt", "etcd-ca.pem"] {
            files.push(directory.join(name));
        }
    }
    let mut known = Vec::new();
    for file in files {
        if !known.contains(&file) {
            known.push(file);
        }
    }
    known
}

/// Where the member's certificates lie.
fn directories(etcd: &Etcd) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = Vec::new();
    for place in [&etcd.client_tls.trusted_ca, &etcd.client_tls.certificate] {
        let directory = host(place).and_then(|path| Some(path.parent()?.to_owned()));
        if let Some(directory) = directory
            && !directories.contains(&directory)
        {
            directories.push(directory);
        }
    }
    directories
}

fn host(place: &Option<Place>) -> Option<PathBuf> {
    place.as_ref()?.host.clone()
}

fn made_by_kubeadm(directory: &Path, pairs: &mut Vec<Pair>) {
    let pair = |directory: &Path, name: &str, because: &str| {
        Pair::new(
            directory.join(format!("{name}.crt")),
            directory.join(format!("{name}.key")),
            because,
        )
    };
    if directory.file_name().is_none_or(|name| name != "etcd") {
        return;
    }
    pairs.push(pair(
        directory,
        "healthcheck-client",
        "the pair that kubeadm made for health checks",
    ));
    if let Some(above) = directory.parent() {
        pairs.push(pair(
            above,
            "apiserver-etcd-client",
            "the pair that kubeadm made for the API server",
        ));
    }
}

/// What guides call them.
fn made_by_hand(directory: &Path, root: &Root, pairs: &mut Vec<Pair>) {
    for (certificate, key) in [
        ("client.crt", "client.key"),
        ("client.pem", "client-key.pem"),
        ("etcd-client.crt", "etcd-client.key"),
        ("etcd-client.pem", "etcd-client-key.pem"),
    ] {
        if root.exists(&directory.join(certificate)) {
            pairs.push(Pair::new(
                directory.join(certificate),
                directory.join(key),
                "the pair for clients beside the member's own",
            ));
        }
    }
}

fn made_by_kubespray(directory: &Path, root: &Root, pairs: &mut Vec<Pair>) {
    for (prefix, because) in [
        ("admin-", "the pair that kubespray made for administrators"),
        ("node-", "the pair that kubespray made for the node"),
    ] {
        for name in root.names(directory).unwrap_or_default() {
            let Some(name) = name.to_str() else { continue };
            let Some(stem) = name.strip_suffix(".pem") else {
                continue;
            };
            if stem.starts_with(prefix) && !stem.ends_with("-key") {
                pairs.push(Pair::new(
                    directory.join(name),
                    directory.join(format!("{stem}-key.pem")),
                    because,
                ));
            }
        }
    }
}
