//! How the command is called here.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use etcd_snap_testdata::cluster::Cluster;

/// The command, as it was built.
pub(crate) const ETCD_SNAP: &str = env!("CARGO_BIN_EXE_etcd-snap");

/// The command with nothing of the caller's environment.
pub(crate) fn bare(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = etcd_snap_testdata::stoppable(program);
    command.env_clear().stdin(Stdio::null());
    command
}

/// What makes the command reach that cluster through an endpoint.
pub(crate) fn connection(cluster: &Cluster, endpoint: &str) -> Vec<(&'static str, PathBuf)> {
    let tls = cluster.tls();
    vec![
        ("ETCDCTL_ENDPOINTS", endpoint.into()),
        ("ETCDCTL_CACERT", tls.authority.clone()),
        ("ETCDCTL_CERT", tls.client.certificate.clone()),
        ("ETCDCTL_KEY", tls.client.key.clone()),
    ]
}
