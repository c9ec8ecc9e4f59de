//! From words and variables to the description of a member.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::{self, Configuration, Runs, TlsFiles, configure};
use crate::invocation::Invocation;
use crate::static_pod::mounts;
use crate::{
    Data, Error, ErrorKind, Etcd, Finding, Layout, Mount, Place, Root, RunBy, TlsSettings, Version,
};

/// What of the machine's files a member sees.
pub(super) enum View {
    /// All of them, under their own names.
    Machine,
    /// What is mounted into its container.
    Container(Vec<Mount>),
    /// Nobody knows what.
    Unknown,
}

impl View {
    pub(super) fn place(&self, path: &Path) -> Place {
        match self {
            Self::Machine => Place::of_host(path),
            Self::Container(mounts) => mounts::place(mounts, path),
            Self::Unknown => Place::new(path, None),
        }
    }

    fn read(&self, root: &Root, path: &Path) -> crate::Result<String> {
        match self.place(path).host {
            Some(host) => root.read_text(&host),
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!("{} is in no volume", path.display()),
            )
            .with_path(path)),
        }
    }

    /// Where the path of this setting leads; nowhere that is known, where a shell decides about it.
    fn place_of(&self, configuration: &Configuration, setting: &str, path: &Path) -> Place {
        match configuration.is_unknown(setting) {
            true => Place::new(path, None),
            false => self.place(path),
        }
    }

    /// `side` is what the names of the settings begin with.
    fn tls(&self, configuration: &Configuration, side: &str, files: TlsFiles) -> TlsSettings {
        let place = |setting: &str, path: Option<PathBuf>| {
            path.map(|path| self.place_of(configuration, &format!("{side}{setting}"), &path))
        };
        TlsSettings {
            certificate: place("cert-file", files.certificate),
            key: place("key-file", files.key),
            trusted_ca: place("trusted-ca-file", files.trusted_ca),
            client_cert_auth: files.client_cert_auth,
            auto: files.auto,
        }
    }
}

/// Somebody who starts an etcd.
pub(super) struct Starter {
    pub(super) run_by: RunBy,
    pub(super) invocation: Invocation,
    pub(super) view: View,
    pub(super) image: Option<String>,
    /// Whose layout it is, where the starter says so.
    pub(super) layout: Option<Layout>,
    pub(super) findings: Vec<Finding>,
}

/// A member, with the configuration that it was described from.
pub(super) struct Described {
    pub(super) etcd: Etcd,
    pub(super) configuration: Configuration,
    view: View,
}

impl Described {
    /// Takes from the etcd that runs what only its shell knew.
    pub(super) fn learn(&mut self, root: &Root, running: &Configuration, pid: u32) {
        let before = self.configuration.findings.len();
        if self.configuration.learn(running, pid).is_empty() {
            return;
        }
        let learnt = self.configuration.findings.split_off(before);
        self.etcd.findings.retain(|it| it.code != config::UNKNOWN);
        self.etcd.findings.extend(learnt);
        take_settings(&mut self.etcd, root, &self.configuration, &self.view);
    }
}

/// Describes what is started; what is no member gives findings only.
pub(super) fn describe(root: &Root, starter: Starter) -> Result<Described, Vec<Finding>> {
    let Starter {
        run_by,
        invocation,
        view,
        image,
        layout,
        mut findings,
    } = starter;
    let configuration = configure(&invocation, &|path| view.read(root, path));
    findings.extend(configuration.findings.iter().cloned());
    if configuration.runs != Runs::Member {
        return Err(findings);
    }
    let version = image.as_deref().and_then(version_of_image);
    if let Some(version) = &version {
        findings.extend(configuration.findings_for(version));
    }
    let mut etcd = Etcd {
        run_by,
        layout: Layout::Other,
        name: String::new(),
        data_dir: Place::new(Path::new(""), None),
        wal_dir: None,
        listen_client_urls: Vec::new(),
        advertise_client_urls: Vec::new(),
        listen_peer_urls: Vec::new(),
        initial_advertise_peer_urls: Vec::new(),
        initial_cluster: Vec::new(),
        initial_cluster_state: String::new(),
        initial_cluster_token: String::new(),
        version,
        quota_bytes: None,
        client_tls: TlsSettings::default(),
        peer_tls: TlsSettings::default(),
        certificates: Vec::new(),
        client_identity: None,
        settings: std::collections::BTreeMap::new(),
        config_file: configuration
            .config_file
            .as_deref()
            .map(|path| view.place(path)),
        data: None,
        process: None,
        findings,
    };
    take_settings(&mut etcd, root, &configuration, &view);
    etcd.layout = layout.unwrap_or_else(|| super::layout::of(root, &etcd));
    Ok(Described {
        etcd,
        configuration,
        view,
    })
}

/// All that a member is by its settings.
fn take_settings(etcd: &mut Etcd, root: &Root, configuration: &Configuration, view: &View) {
    // Defaults mean nothing where a file that nobody could read decides.
    let is_known = configuration.config_file.is_none() || configuration.config_file_read;
    let mut data_dir = view.place(&configuration.data_dir());
    data_dir.host = data_dir
        .host
        .filter(|_| is_known && configuration.knows_data_dir());
    etcd.data = data_dir.host.as_deref().map(|host| data(root, host));
    etcd.data_dir = data_dir;
    configuration.name().clone_into(&mut etcd.name);
    let wal_dir = configuration.wal_dir();
    etcd.wal_dir = wal_dir.map(|path| view.place_of(configuration, "wal-dir", &path));
    etcd.listen_client_urls = configuration.listen_client_urls();
    etcd.advertise_client_urls = configuration.advertise_client_urls();
    etcd.listen_peer_urls = configuration.listen_peer_urls();
    etcd.initial_advertise_peer_urls = configuration.initial_advertise_peer_urls();
    etcd.initial_cluster = configuration.initial_cluster();
    configuration
        .initial_cluster_state()
        .clone_into(&mut etcd.initial_cluster_state);
    configuration
        .initial_cluster_token()
        .clone_into(&mut etcd.initial_cluster_token);
    etcd.quota_bytes = configuration.quota_bytes();
    etcd.client_tls = view.tls(configuration, "", configuration.client_tls());
    etcd.peer_tls = view.tls(configuration, "peer-", configuration.peer_tls());
    etcd.settings.clone_from(&configuration.settings);
}

/// `3.5.16` of `registry.k8s.io/etcd:3.5.16-0` and of `hardened-etcd:v3.5.26-k3s1-build20260126`.
fn version_of_image(image: &str) -> Option<Version> {
    let (name, _) = image.split_once('@').unwrap_or((image, ""));
    let (_, tag) = name.rsplit_once(':')?;
    let digits = tag.strip_prefix('v').unwrap_or(tag);
    let end = digits
        .find(|it: char| !it.is_ascii_digit() && it != '.')
        .unwrap_or(digits.len());
    let text = digits.get(..end)?.trim_end_matches('.');
    // A tag like `latest` or `5000/etcd` says nothing.
    let parts: Vec<_> = text.split('.').collect();
    let is_version = parts.len() == 3 && parts.iter().all(|part| !part.is_empty());
    is_version.then(|| Version {
        text: text.to_owned(),
        from: format!("image {image}"),
    })
}

/// What is in a data directory.
fn data(root: &Root, host: &Path) -> Data {
    let on_disk = root.open_as(host);
    let directory = fs::metadata(&on_disk).ok().filter(fs::Metadata::is_dir);
    let database = fs::metadata(root.open_as(&host.join("member/snap/db"))).ok();
    let names = root.names(host).unwrap_or_default();
    Data {
        exists: directory.is_some(),
        has_member: database.is_some(),
        database_bytes: database.map(|it| it.len()),
        uid: directory.as_ref().map(MetadataExt::uid),
        gid: directory.as_ref().map(MetadataExt::gid),
        mode: directory
            .as_ref()
            .map(|it| format!("{:04o}", it.mode() & 0o7777)),
        others: names
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name != "member")
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_tags() {
        for (image, expected) in [
            ("registry.k8s.io/etcd:3.5.16-0", Some("3.5.16")),
            (
                "docker.io/rancher/hardened-etcd:v3.5.26-k3s1-build20260126",
                Some("3.5.26"),
            ),
            ("quay.io/coreos/etcd:v3.5.7", Some("3.5.7")),
            ("localhost:5000/etcd", None),
            ("etcd:latest", None),
            ("registry.k8s.io/etcd:3.6.4-0@sha256:0123", Some("3.6.4")),
            ("etcd", None),
        ] {
            let found = version_of_image(image);
            assert_eq!(found.map(|it| it.text).as_deref(), expected, "{image}");
        }
    }
}
