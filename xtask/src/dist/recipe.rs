//! The recipe of the usual guides to a Kubernetes exam, word for word but for the port.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use etcd_snap_testdata::cluster::{Cluster, Security};
use etcd_snap_testdata::etcd::Version;

use super::{Jail, said};

const KEYS: [&str; 3] = [
    "/registry/namespaces/default",
    "/registry/pods/default/web-0",
    "/registry/secrets/kube-system/token",
];

const FLAGS: &str = "--endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
     --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key";

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Save, status, restore, start etcd, read the keys: with our binary as etcdctl and as etcdutl.
pub(super) fn follow(program: &Path) -> Result<()> {
    eprintln!("following the recipe in an otherwise empty root directory");
    let binaries = crate::etcd::get(&[Version::NEWEST])?.remove(0);
    super::binary::require_static(&binaries.etcd)?;
    let mut cluster = Cluster::builder(Version::NEWEST)
        .security(Security::MutualTls)
        .start()?;
    for key in KEYS {
        cluster.etcdctl(["put", key, "value"])?;
    }
    let port = cluster.members()[0].client_address().port();

    let jail = Jail::new()?;
    jail.put(program, "/usr/local/bin/etcd-snap")?;
    jail.link("etcd-snap", "/usr/local/bin/etcdctl")?;
    jail.link("etcd-snap", "/usr/local/bin/etcdutl")?;
    jail.put(&binaries.etcd, "/usr/local/bin/etcd")?;
    let tls = cluster.tls();
    for (file, name) in [
        (&tls.authority, "ca.crt"),
        (&tls.server.certificate, "server.crt"),
        (&tls.server.key, "server.key"),
    ] {
        jail.put(file, &format!("/etc/kubernetes/pki/etcd/{name}"))?;
    }
    let run = |line: &str| said(&mut jail.command(&at_port(line, port)));

    is_a_jail(&jail, port)?;
    let saved = run(&format!(
        "ETCDCTL_API=3 etcdctl {FLAGS} snapshot save /data/snapshot.db"
    ))?;
    ensure!(
        saved.contains("Snapshot saved at /data/snapshot.db"),
        "{saved}"
    );
    let owner = jail.volume().join("snapshot.db").metadata()?.uid();
    ensure!(owner == jail.user(), "it ran as the user {owner}");
    for tool in ["etcdctl", "etcdutl"] {
        let line =
            format!("ETCDCTL_API=3 {tool} --write-out=table snapshot status /data/snapshot.db");
        let status = run(&line)?;
        ensure!(status.contains("TOTAL KEYS"), "{status}");
    }
    cluster.stop(0)?;

    for (restore, data_dir) in [
        (
            "ETCDCTL_API=3 etcdctl --data-dir=/data/by-etcdctl snapshot restore /data/snapshot.db",
            "/data/by-etcdctl",
        ),
        (
            "etcdutl --data-dir /data/by-etcdutl snapshot restore /data/snapshot.db",
            "/data/by-etcdutl",
        ),
    ] {
        run(restore)?;
        let mut server = Server::start(&jail, data_dir, port)?;
        server.wait_for(&jail, port)?;
        let keys = run(&format!(
            "ETCDCTL_API=3 etcdctl {FLAGS} get / --prefix --keys-only"
        ))?;
        let expected: String = KEYS.iter().map(|key| format!("{key}\n\n")).collect();
        ensure!(keys == expected, "{data_dir} has other keys: {keys:?}");
    }
    Ok(())
}

fn at_port(line: &str, port: u16) -> String {
    line.replace(":2379", &format!(":{port}"))
}

/// Only the volume can be written, and there is nothing to run but what was put there.
fn is_a_jail(jail: &Jail, port: u16) -> Result<()> {
    let line = at_port(
        &format!("etcdctl {FLAGS} snapshot save /elsewhere.db"),
        port,
    );
    let output = jail.command(&line).output()?;
    let words = String::from_utf8_lossy(&output.stderr).to_lowercase();
    ensure!(
        !output.status.success() && words.contains("read-only file system"),
        "the root directory is not read-only: {output:?}"
    );
    let output = jail.command("/bin/sh -c true").output()?;
    ensure!(!output.status.success(), "the root directory has a shell");
    Ok(())
}

/// A real etcd in there.
struct Server {
    child: Child,
    log: std::path::PathBuf,
}

impl Server {
    fn start(jail: &Jail, data_dir: &str, port: u16) -> Result<Self> {
        let peers = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let line = format!(
            "etcd --data-dir={data_dir} --listen-client-urls=https://127.0.0.1:2379 \
             --advertise-client-urls=https://127.0.0.1:2379 --listen-peer-urls=http://{peers} \
             --cert-file=/etc/kubernetes/pki/etcd/server.crt --key-file=/etc/kubernetes/pki/etcd/server.key \
             --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt --client-cert-auth"
        );
        let log = jail.volume().with_extension("log");
        let output = File::create(&log)?;
        let child = jail
            .command(&at_port(&line, port))
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { child, log })
    }

    fn wait_for(&mut self, jail: &Jail, port: u16) -> Result<()> {
        const BETWEEN: Duration = Duration::from_millis(100);
        let began = Instant::now();
        let line = at_port(&format!("etcdctl {FLAGS} get /"), port);
        let mut ask: Command = jail.command(&line);
        loop {
            if ask.output()?.status.success() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("etcd ended with {status}:\n{}", self.said()?);
            }
            if began.elapsed() > PATIENCE {
                bail!("etcd does not answer:\n{}", self.said()?);
            }
            thread::sleep(BETWEEN);
        }
    }

    fn said(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).context("etcd has no log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
