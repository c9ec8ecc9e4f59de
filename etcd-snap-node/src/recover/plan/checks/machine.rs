//! Who stops and starts etcd, and who else uses it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::Planned;
use crate::Finding;
use crate::recover::StopBy;

const API_SERVER: u16 = 6443;

pub(super) fn look(planned: &Planned<'_>) -> Vec<Finding> {
    let root = &planned.options.root;
    let mut findings = Vec::new();
    let moves_api_server = match planned.stop {
        StopBy::Manifests { manifests, .. } => {
            if root.is_this_machine() && !kubelet_runs(Path::new("/proc")) {
                findings.push(
                    Finding::warning(
                        "kubelet-absent",
                        "kubelet does not run: nobody stops the pods when their manifests are moved out, and nobody starts them again",
                    )
                    .with_remedy("`systemctl start kubelet`, and `journalctl -u kubelet` if it ends again"),
                );
            }
            manifests
                .iter()
                .any(|it| it.pod.starts_with("kube-apiserver"))
        }
        StopBy::Unit { unit } => {
            if root.is_this_machine() {
                findings.extend(systemd_absent(Path::new("/run/systemd/system"), unit));
            }
            false
        }
    };
    if planned.options.asks() && !moves_api_server {
        findings.extend(api_server(API_SERVER, planned.options.question));
    }
    findings
}

/// `running` is there while systemd runs the machine, as sd_booted(3) says.
fn systemd_absent(running: &Path, unit: &str) -> Option<Finding> {
    (!running.is_dir()).then(|| {
        Finding::error(
            "systemd-absent",
            format!("systemd does not run here, so nobody can stop and start {unit}"),
        )
        .with_remedy("run this on the machine itself, not in a container or a rescue system")
    })
}

/// Every process names its program, as far as 15 letters.
fn kubelet_runs(proc: &Path) -> bool {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
    names.any(|name| name.trim_end() == "kubelet")
}

/// D4: one that is not stopped serves from its cache, and writes what belongs to the time before.
fn api_server(port: u16, limit: Duration) -> Option<Finding> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, limit).ok()?;
    Some(
        Finding::warning(
            "api-server-elsewhere",
            format!(
                "an API server seems to listen at {address}, and it is none of the pods that are stopped: it would go on with what it \
                 remembers while the data is exchanged"
            ),
        )
        .with_remedy("stop it before, and start it when etcd serves again"),
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_api_server_is_known_by_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let finding = api_server(port, Duration::from_secs(10)).unwrap();
        assert_eq!(finding.code, "api-server-elsewhere");
        assert!(finding.message.contains(&port.to_string()));
        drop(listener);
        assert_eq!(api_server(port, Duration::from_secs(10)), None);
    }

    #[test]
    fn systemd_is_known_by_its_directory() {
        let run = tempfile::tempdir().unwrap();
        let running = run.path().join("system");
        let finding = systemd_absent(&running, "etcd.service").unwrap();
        assert_eq!(finding.code, "systemd-absent");
        assert!(finding.message.contains("etcd.service"));
        fs::create_dir(&running).unwrap();
        assert_eq!(systemd_absent(&running, "etcd.service"), None);
    }

    #[test]
    fn kubelet_is_known_by_the_name_of_its_process() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, name) in [("7", "bash\n"), ("8", "kubelet-probe\n")] {
            fs::create_dir(proc.path().join(pid)).unwrap();
            fs::write(proc.path().join(pid).join("comm"), name).unwrap();
        }
        assert!(!kubelet_runs(proc.path()));
        fs::write(proc.path().join("7/comm"), "kubelet\n").unwrap();
        assert!(kubelet_runs(proc.path()));
    }
}
