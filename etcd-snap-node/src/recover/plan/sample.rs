//! Machines for the tests of planning: a tree on the disk, and what discovery says of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcd_snap::{MemberTarget, NewCluster, RestoreOptions, Snapshot};
use tempfile::TempDir;

use super::PlanOptions;
use crate::{
    ClusterEntry, Data, Etcd, Layout, Mount, Node, Origin, Place, RunBy, Setting, TlsSettings,
    Version,
};

/// A tree and its description.
pub(super) struct Machine {
    pub(super) folder: TempDir,
    pub(super) node: Node,
}

pub(super) const MANIFESTS: &str = "/etc/kubernetes/manifests";

pub(super) const ETCD_YAML: &str = r#"apiVersion: v1
kind: Pod
metadata:
  labels:
    component: etcd
    tier: control-plane
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
    - --data-dir=/var/lib/etcd
    image: registry.k8s.io/etcd:3.6.4-0
    name: etcd
    volumeMounts:
    - mountPath: /var/lib/etcd  # where etcd sees it
      name: etcd-data
    - mountPath: /etc/kubernetes/pki/etcd
      name: etcd-certs
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki/etcd
      type: DirectoryOrCreate
    name: etcd-certs
  - hostPath:
      path: /var/lib/etcd
      type: DirectoryOrCreate
    name: etcd-data
"#;

/// A snapshot of a real server, at revision 215, of the member m1 at http://127.0.0.1:2380.
pub(super) fn committed_snapshot() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db")
}

pub(super) fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels:\n    component: {name}\nspec:\n  containers:\n  - name: {name}\n    \
         command: [{name}]\n"
    )
}

impl Machine {
    /// A control plane node of kubeadm with a member that has data.
    pub(super) fn kubeadm() -> Self {
        let machine = Self::new(
            RunBy::StaticPod {
                manifest: format!("{MANIFESTS}/etcd.yaml").into(),
                pod: "etcd".into(),
                container: "etcd".into(),
                image: Some("registry.k8s.io/etcd:3.6.4-0".into()),
                mounts: vec![
                    mount("etcd-certs", "/etc/kubernetes/pki/etcd"),
                    mount("etcd-data", "/var/lib/etcd"),
                ],
                run_as_user: None,
                run_as_group: None,
            },
            Layout::Kubeadm,
        );
        machine.put(&format!("{MANIFESTS}/etcd.yaml"), ETCD_YAML);
        for name in [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
        ] {
            machine.put(&format!("{MANIFESTS}/{name}.yaml"), &pod(name));
        }
        machine
    }

    /// A machine where a unit runs etcd.
    pub(super) fn systemd() -> Self {
        let machine = Self::new(
            RunBy::Systemd {
                unit: "etcd.service".into(),
                unit_file: "/usr/lib/systemd/system/etcd.service".into(),
                drop_ins: Vec::new(),
                environment_files: Vec::new(),
                user: None,
            },
            Layout::Systemd,
        );
        machine.put(
            "/usr/lib/systemd/system/etcd.service",
            "[Service]\nExecStart=/usr/bin/etcd --data-dir=/var/lib/etcd\n",
        );
        machine
    }

    fn new(run_by: RunBy, layout: Layout) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let flag = |value: &str| Setting {
            value: value.into(),
            from: Origin::Flag,
        };
        let etcd = Etcd {
            run_by,
            layout,
            name: "m1".into(),
            data_dir: Place::of_host("/var/lib/etcd"),
            wal_dir: None,
            listen_client_urls: vec!["http://127.0.0.1:2379".into()],
            advertise_client_urls: vec!["http://127.0.0.1:2379".into()],
            listen_peer_urls: vec!["http://10.0.0.1:2380".into()],
            initial_advertise_peer_urls: vec!["http://10.0.0.1:2380".into()],
            initial_cluster: vec![ClusterEntry {
                name: "m1".into(),
                peer_url: "http://10.0.0.1:2380".into(),
            }],
            initial_cluster_state: "new".into(),
            initial_cluster_token: "etcd-cluster".into(),
            version: Some(Version {
                text: "3.6.4".into(),
                from: "image registry.k8s.io/etcd:3.6.4-0".into(),
            }),
            quota_bytes: None,
            client_tls: TlsSettings::default(),
            peer_tls: TlsSettings::default(),
            certificates: Vec::new(),
            client_identity: None,
            settings: BTreeMap::from([
                ("data-dir".to_owned(), flag("/var/lib/etcd")),
                (
                    "initial-advertise-peer-urls".to_owned(),
                    flag("http://10.0.0.1:2380"),
                ),
            ]),
            config_file: None,
            data: Some(Data {
                exists: true,
                has_member: true,
                database_bytes: None,
                uid: None,
                gid: None,
                mode: None,
                others: Vec::new(),
            }),
            process: None,
            findings: Vec::new(),
        };
        let node = Node {
            schema: 1,
            root: folder.path().to_owned(),
            host: Some("m1".into()),
            etcds: vec![etcd],
            findings: Vec::new(),
        };
        fs::create_dir_all(folder.path().join("var/lib/etcd")).unwrap();
        Self { folder, node }
    }

    pub(super) fn etcd(&mut self) -> &mut Etcd {
        &mut self.node.etcds[0]
    }

    pub(super) fn put(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Plans for its tree, at a time that is always the same.
    pub(super) fn options(&self) -> PlanOptions {
        PlanOptions::default()
            .with_root(crate::Root::new(self.folder.path()))
            .with_now(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_655_984))
            .with_token("a-word")
    }

    /// A snapshot of a cluster of these members.
    pub(super) fn snapshot_of(&self, initial_cluster: &str) -> PathBuf {
        let snapshot = Snapshot::open(committed_snapshot()).unwrap();
        let cluster = NewCluster::parse(initial_cluster, "old").unwrap();
        let made = self.folder.path().join("made");
        let name = cluster.members()[0].name().to_owned();
        let target = MemberTarget::new(name, &made);
        etcd_snap::restore(&snapshot, &cluster, &[target], &RestoreOptions::default()).unwrap();
        let path = self.folder.path().join("backup.db");
        fs::rename(made.join("member/snap/db"), &path).unwrap();
        fs::remove_dir_all(made).unwrap();
        path
    }

    /// Every path below the tree, with the content of the files, to show that nothing has changed.
    pub(super) fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut content = BTreeMap::new();
        let mut left = vec![self.folder.path().to_owned()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path.clone());
                    content.insert(path, Vec::new());
                } else {
                    let bytes = fs::read(&path).unwrap();
                    content.insert(path, bytes);
                }
            }
        }
        content
    }
}

pub(super) fn mount(volume: &str, path: &str) -> Mount {
    Mount {
        volume: volume.into(),
        mount_path: path.into(),
        host_path: Some(path.into()),
        host_path_type: "DirectoryOrCreate".into(),
        read_only: false,
    }
}
