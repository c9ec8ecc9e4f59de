//! One server: its ports, its folder, its process.

use std::fs;
use std::process::ExitStatus;

use super::ports::Port;
use super::*;
use crate::process::{self, Process};

/// A member of a [`Cluster`], running or not.
#[derive(Debug)]
pub struct Member {
    name: String,
    client: Port,
    peer: Port,
    client_url: String,
    peer_url: String,
    data_dir: PathBuf,
    log: PathBuf,
    existing: bool,
    process: Option<Process>,
}

/// What all members of a cluster share.
pub(super) struct Common<'a> {
    pub(super) binaries: &'a Binaries,
    pub(super) security: Security,
    pub(super) tls: &'a TlsFiles,
    pub(super) token: &'a str,
    pub(super) initial_cluster: &'a str,
    pub(super) arguments: &'a [String],
}

impl Member {
    pub(super) fn reserve(name: &str, security: Security, folder: &Path) -> Result<Self> {
        let (client, peer) = (Port::reserve()?, Port::reserve()?);
        let url = |port: &Port| format!("{}://127.0.0.1:{}", security.scheme(), port.number());
        Ok(Member {
            name: name.to_owned(),
            client_url: url(&client),
            peer_url: url(&peer),
            client,
            peer,
            data_dir: folder.join(format!("{name}.etcd")),
            log: folder.join(format!("{name}.log")),
            existing: false,
            process: None,
        })
    }

    /// Its `--name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients reach it.
    pub fn client_url(&self) -> &str {
        &self.client_url
    }

    /// Where clients reach it, as `127.0.0.1:port`, for a relay in between.
    pub fn client_address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.client.number()).into()
    }

    /// Where the other members reach it.
    pub fn peer_url(&self) -> &str {
        &self.peer_url
    }

    /// Where the other members reach it, as `127.0.0.1:port`.
    pub fn peer_address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.peer.number()).into()
    }

    /// Its `--data-dir`.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Its database file. Read it only while the member is stopped.
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("member/snap/db")
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether its server was started and not stopped since.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The operating system's number of its server, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Says that it joins a cluster that is there already.
    pub(super) fn set_existing(&mut self) {
        self.existing = true;
    }

    pub(super) fn start(&mut self, common: &Common<'_>) -> Result<()> {
        if self.process.is_some() {
            bail!("member {} runs already", self.name);
        }
        let mut command = process::command(&common.binaries.etcd);
        command
            .env("ETCD_VERIFY", "all")
            .args(["--name", &self.name])
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args([
                "--listen-client-urls",
                &self.client_url,
                "--advertise-client-urls",
                &self.client_url,
            ])
            .args([
                "--listen-peer-urls",
                &self.peer_url,
                "--initial-advertise-peer-urls",
                &self.peer_url,
            ])
            .args([
                "--initial-cluster",
                common.initial_cluster,
                "--initial-cluster-token",
                common.token,
            ])
            .args([
                "--initial-cluster-state",
                if self.existing { "existing" } else { "new" },
            ])
            .args(["--logger", "zap", "--bcrypt-cost", "4"])
            .args(["--heartbeat-interval", "50"]);
        if common.binaries.version > Version::V3_4 {
            command.args(["--election-timeout", "500", "--unsafe-no-fsync"]);
        } else {
            // It waits for a disk that is busy with other tests.
            command.args(["--election-timeout", "1500"]);
        }
        let tls = common.tls;
        if common.security != Security::Plain {
            for prefix in ["", "peer-"] {
                command
                    .arg(format!("--{prefix}cert-file"))
                    .arg(&tls.server.certificate);
                command
                    .arg(format!("--{prefix}key-file"))
                    .arg(&tls.server.key);
            }
            command
                .arg("--peer-trusted-ca-file")
                .arg(&tls.authority)
                .arg("--peer-client-cert-auth");
        }
        // The authority alone makes a server ask for certificates, even without the second flag.
        if common.security == Security::MutualTls {
            command
                .arg("--trusted-ca-file")
                .arg(&tls.authority)
                .arg("--client-cert-auth");
        }
        command.args(common.arguments);
        self.process = Some(Process::spawn(&common.binaries.etcd, command, &self.log)?);
        Ok(())
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process
                .terminate()
                .map(drop)
                .with_context(|| format!("cannot stop member {}", self.name)),
            None => bail!("member {} does not run", self.name),
        }
    }

    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    pub(super) fn freeze(&self) -> Result<()> {
        match &self.process {
            Some(process) => process
                .freeze()
                .with_context(|| format!("cannot freeze member {}", self.name)),
            None => bail!("member {} does not run", self.name),
        }
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        match &self.process {
            Some(process) => process
                .signal(signal)
                .with_context(|| format!("cannot send {signal:?} to member {}", self.name)),
            None => bail!("member {} does not run", self.name),
        }
    }

    /// How it ended by itself, if it did.
    pub(super) fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.as_mut().map_or(Ok(None), Process::ended)
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(20);
        lines[from..].join("\n")
    }
}
