//! What is known of the etcds of a machine.

mod certificates;
mod connect;
mod urls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use urls::{dialled, is_default_loopback, is_loopback, is_secured, is_unresolved};

pub use certificates::{CertificateFile, CertificateRole, ClientIdentity, Usability};

use crate::{Finding, Severity};

/// A machine and its etcds: what [`discover`](crate::discover) finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Node {
    /// Of this form: 1.
    pub schema: u32,
    /// Where the tree begins that was looked at: `/` for this machine.
    pub root: PathBuf,
    /// The name of the machine, as `/etc/hostname` or, for this one, the kernel has it.
    pub host: Option<String>,
    /// Every etcd that is configured here, or runs.
    pub etcds: Vec<Etcd>,
    /// What is odd about the machine as a whole: an etcd elsewhere, a manifest that cannot be read.
    pub findings: Vec<Finding>,
}

/// An etcd member of a machine: how it is started, where its data is, whom it serves.
///
/// Paths are those of the machine, without the root that its tree was looked at below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Etcd {
    /// How it is started.
    pub run_by: RunBy,
    /// Whose layout it is.
    pub layout: Layout,
    /// The value of `--name`.
    pub name: String,
    /// The data directory.
    pub data_dir: Place,
    /// The directory of the WAL, where it is not in the data directory.
    pub wal_dir: Option<Place>,
    /// Where it takes clients.
    pub listen_client_urls: Vec<String>,
    /// Where it says that clients reach it.
    pub advertise_client_urls: Vec<String>,
    /// Where it takes its peers.
    pub listen_peer_urls: Vec<String>,
    /// Where it says that its peers reach it.
    pub initial_advertise_peer_urls: Vec<String>,
    /// The cluster as it was founded or joined: name and peer URL, in their order. Of no use to a member that has data, and so
    /// not always what the cluster is today.
    pub initial_cluster: Vec<ClusterEntry>,
    /// `new` or `existing`.
    pub initial_cluster_state: String,
    /// The word that the ids were made with.
    pub initial_cluster_token: String,
    /// The version, and what it is known from.
    pub version: Option<Version>,
    /// The quota of its database; `None`: etcd's own.
    pub quota_bytes: Option<u64>,
    /// TLS for clients.
    pub client_tls: TlsSettings,
    /// TLS for peers.
    pub peer_tls: TlsSettings,
    /// All its certificates, and what they are fit for.
    pub certificates: Vec<CertificateFile>,
    /// The certificate that fits a client of this member; `None` where none does, or none is needed.
    pub client_identity: Option<ClientIdentity>,
    /// Every setting that somebody made, by the name of its flag, and where; defaults are not among them.
    pub settings: BTreeMap<String, Setting>,
    /// The configuration file that alone counts, where there is one.
    pub config_file: Option<Place>,
    /// What is in the data directory; `None` where that is not on the machine, or cannot be looked at.
    pub data: Option<Data>,
    /// Its process, where it runs and that can be seen.
    pub process: Option<RunningProcess>,
    /// What is wrong, or worth knowing.
    pub findings: Vec<Finding>,
}

/// How an etcd is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RunBy {
    /// By kubelet, from a file in its manifests directory.
    StaticPod {
        /// The file.
        manifest: PathBuf,
        /// The name of the pod.
        pod: String,
        /// The name of the container.
        container: String,
        /// Its image.
        image: Option<String>,
        /// What is mounted where.
        mounts: Vec<Mount>,
        /// The number of the user that it runs as, unless that is root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_as_user: Option<u32>,
        /// The number of the group that it runs as, where the manifest says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_as_group: Option<u32>,
    },
    /// By systemd.
    Systemd {
        /// The name of the unit, like `etcd.service`.
        unit: String,
        /// Its file.
        unit_file: PathBuf,
        /// What is applied after it, in that order.
        drop_ins: Vec<PathBuf>,
        /// The files that its variables come from.
        environment_files: Vec<PathBuf>,
        /// The user that it runs as, unless root.
        user: Option<String>,
    },
    /// A process whose starter is not known.
    Process,
    /// Somebody who is known by its directories only: k3s starts its etcd itself.
    Embedded {
        /// The service that it is in, like `k3s.service`.
        service: String,
    },
}

/// A directory or file of the machine that a container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mount {
    /// The name of the volume.
    pub volume: String,
    /// Where the container sees it.
    pub mount_path: PathBuf,
    /// What it is on the machine; `None` where the volume is not a hostPath.
    pub host_path: Option<PathBuf>,
    /// The type of the hostPath, like `DirectoryOrCreate`; empty: none.
    pub host_path_type: String,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

/// Whose layout of directories and files it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layout {
    /// A static pod of kubeadm, kind among them.
    Kubeadm,
    /// minikube, kubeadm with other paths.
    Minikube,
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// kubespray, on the host or in Docker.
    Kubespray,
    /// OpenShift's etcd operator.
    #[serde(rename = "openshift")]
    OpenShift,
    /// kOps, with etcd-manager.
    #[serde(rename = "kops")]
    KOps,
    /// Talos.
    Talos,
    /// A unit of systemd, from a package or by hand.
    Systemd,
    /// None of these.
    Other,
}

impl Layout {
    /// Who owns the etcd, and has a way of its own to recover it; `None` where the node's administrator does.
    #[must_use]
    pub fn owner(self) -> Option<&'static str> {
        match self {
            Self::K3s => Some("k3s"),
            Self::Rke2 => Some("RKE2"),
            Self::OpenShift => Some("OpenShift"),
            Self::KOps => Some("kOps"),
            Self::Talos => Some("Talos"),
            _ => None,
        }
    }
}

/// A path as etcd sees it, and as the machine knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// As etcd sees it: in its container, if it has one.
    pub path: PathBuf,
    /// On the machine; `None` where it is in a container's own layer, which is lost with the container.
    pub host: Option<PathBuf>,
}

impl Place {
    /// The same on both sides.
    #[must_use]
    pub fn of_host(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            host: Some(path.clone()),
            path,
        }
    }

    /// With two sides.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, host: Option<PathBuf>) -> Self {
        Self {
            path: path.into(),
            host,
        }
    }
}

/// A name and one of its peer URLs in `--initial-cluster`; a name with several URLs has several entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClusterEntry {
    /// The name of the member.
    pub name: String,
    /// The URL.
    pub peer_url: String,
}

/// A version of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// Like `3.5.16`.
    pub text: String,
    /// What it is known from, like `image registry.k8s.io/etcd:3.5.16-0`.
    pub from: String,
}

/// What etcd was told of TLS, for one of its two sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TlsSettings {
    /// `--cert-file`.
    pub certificate: Option<Place>,
    /// `--key-file`.
    pub key: Option<Place>,
    /// `--trusted-ca-file`.
    pub trusted_ca: Option<Place>,
    /// Whether certificates are asked of the other side: by the flag, or because there is an authority.
    pub client_cert_auth: bool,
    /// Whether etcd makes its certificates itself, which no client can check.
    pub auto: bool,
}

/// A setting, and where it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Setting {
    /// The value as etcd gets it.
    pub value: String,
    /// Where it is from.
    pub from: Origin,
}

/// Where a setting is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Origin {
    /// A flag on the command line.
    Flag,
    /// A variable.
    Variable {
        /// Its name.
        name: String,
        /// The file that sets it, where one does.
        file: Option<PathBuf>,
    },
    /// The configuration file.
    ConfigFile,
}

/// What is in a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Data {
    /// Whether the directory is there.
    pub exists: bool,
    /// Whether a member is in it: `member/snap/db`.
    pub has_member: bool,
    /// The size of its database.
    pub database_bytes: Option<u64>,
    /// Whom the directory belongs to: the number of the user.
    pub uid: Option<u32>,
    /// The number of the group.
    pub gid: Option<u32>,
    /// Its mode, like `0700`.
    pub mode: Option<String>,
    /// What else is in it: old members that were kept, backups.
    pub others: Vec<String>,
}

/// An etcd that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningProcess {
    /// Its number.
    pub pid: u32,
    /// The number of the user that it runs as.
    pub uid: u32,
    /// Its executable, in its own view of the file system.
    pub executable: Option<PathBuf>,
}

impl Node {
    /// The only etcd, or the one of this name (or unit, or pod).
    ///
    /// # Errors
    /// `NotFound` where there is none; `InvalidInput` where there are several and none was named.
    pub fn etcd(&self, name: Option<&str>) -> crate::Result<&Etcd> {
        use crate::{Error, ErrorKind};
        let known: Vec<_> = self.etcds.iter().map(Etcd::title).collect();
        let mut found = self
            .etcds
            .iter()
            .filter(|etcd| name.is_none_or(|name| etcd.is_called(name)))
            .filter(|etcd| name.is_some() || !self.is_copy(etcd));
        match (found.next(), found.next(), name) {
            (Some(etcd), None, _) => Ok(etcd),
            (None, _, Some(name)) if !self.etcds.is_empty() => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "no etcd here is called {name:?}, only: {}",
                    known.join("; ")
                ),
            )),
            (None, _, _) => {
                // What was found is the reason, and has its own remedy: somebody else's etcd, a manifest that cannot be read.
                let worst = self.findings.iter().max_by_key(|finding| finding.severity);
                let reason = worst.map(|finding| format!(": {}", finding.message));
                let remedy = worst.and_then(|finding| finding.remedy.clone());
                Err(Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "no etcd was found on this machine{}",
                        reason.unwrap_or_default()
                    ),
                )
                .with_remedy(remedy.unwrap_or_else(|| {
                    "looked for were static pods in kubelet's manifests directory, units of systemd, and processes"
                        .to_owned()
                })))
            }
            (Some(_), Some(_), _) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("there are {} etcds here: {}", known.len(), known.join("; ")),
            )
            .with_remedy("say which one is meant with --etcd NAME")),
        }
    }

    /// Whether a file beside it starts a pod of the same name, and has the name that a manifest usually has: `etcd.yaml.bak` is a copy of
    /// `etcd.yaml`. That there are two is a finding, and no reason not to know which one is meant.
    fn is_copy(&self, etcd: &Etcd) -> bool {
        let RunBy::StaticPod { manifest, pod, .. } = &etcd.run_by else {
            return false;
        };
        let is_usual = |path: &Path| path.file_name().is_some_and(|name| name == "etcd.yaml");
        !is_usual(manifest)
            && self.etcds.iter().any(|other| match &other.run_by {
                RunBy::StaticPod {
                    manifest: usual,
                    pod: same,
                    ..
                } => pod == same && is_usual(usual) && usual.parent() == manifest.parent(),
                _ => false,
            })
    }

    /// The worst of all findings.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        let of_etcds = self.etcds.iter().flat_map(|etcd| &etcd.findings);
        self.findings
            .iter()
            .chain(of_etcds)
            .map(|finding| finding.severity)
            .max()
    }
}

impl Etcd {
    /// How a person would call it, like `m1 (etcd.service)`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.run_by {
            RunBy::StaticPod { manifest, .. } => format!("{} ({})", self.name, manifest.display()),
            RunBy::Systemd { unit, .. } => format!("{} ({unit})", self.name),
            RunBy::Embedded { service } => format!("{} (in {service})", self.name),
            RunBy::Process => match &self.process {
                Some(process) => format!("{} (process {})", self.name, process.pid),
                None => self.name.clone(),
            },
        }
    }

    /// Whether only a shell knows what etcd is started with: what is described may be etcd's defaults, and is no ground to write anything on.
    #[must_use]
    pub fn is_guessed(&self) -> bool {
        self.findings.iter().any(|it| is_of_guesses(&it.code))
    }

    /// Whether this name means it: its own, or that of its unit, pod or manifest.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name
            || match &self.run_by {
                RunBy::StaticPod { manifest, pod, .. } => {
                    pod == name
                        || manifest == Path::new(name)
                        || manifest.file_name().is_some_and(|it| it == name)
                }
                RunBy::Systemd { unit, .. } => {
                    unit == name || unit.strip_suffix(".service") == Some(name)
                }
                RunBy::Embedded { service } => service == name,
                RunBy::Process => self
                    .process
                    .as_ref()
                    .is_some_and(|process| process.pid.to_string() == name),
            }
    }
}

/// The codes of [`Etcd::is_guessed`].
pub(crate) fn is_of_guesses(code: &str) -> bool {
    ["command-line-unknown", "config-file-unknown"].contains(&code)
}
