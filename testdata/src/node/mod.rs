//! Machines with an etcd on them, as trees of files: what is to be recovered, and who starts and stops it there.
//!
//! ```no_run
//! use etcd_snap_testdata::etcd::Version;
//! use etcd_snap_testdata::node::{Machines, Starter};
//!
//! # fn main() -> anyhow::Result<()> {
//! let machines = Machines::builder(Version::V3_6).machines(3).started_by(Starter::Kubelet).start()?;
//! machines.put("a", "1")?;
//! let snapshot = machines.save("backup.db")?;
//! let machine = machines.machine(0);
//! // Root::new(machine.root()) is the machine; its paths are those of a real one, its ports are real.
//! std::fs::remove_file(machine.manifest())?;
//! machine.kubelet().wait_until_settled()?;
//! assert!(!machine.etcd_runs());
//! # Ok(())
//! # }
//! ```
//!
//! All servers talk over TLS with certificates on both sides. They die with the [`Machines`], and with the test process.
//! After a panic the folder stays and its place is printed; `ETCD_SNAP_TEST_KEEP=1` keeps it always.

mod kubelet;
mod machines;
mod pod;
mod systemd;
mod tree;
mod unit;
mod watch;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use kubelet::{Happened, Kubelet, What, expect_in_order};
pub use machines::{Builder, Machines};
pub use systemd::Systemd;
pub use watch::Watch;

use crate::cluster::ports::Port;

/// How long anything may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// The unit of machines whose etcd systemd starts.
pub const UNIT: &str = "etcd.service";

/// Who starts and stops etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// Kubelet, from a manifest as kubeadm makes it, beside an API server and its like.
    Kubelet,
    /// systemd, from a unit with a drop-in and a file of variables, as a user of its own where root runs the tests.
    Systemd,
}

/// The ports of a machine, reserved as long as it is there.
#[derive(Debug)]
struct Ports {
    client: Port,
    peer: Port,
    metrics: Port,
    api_server: Port,
}

enum Service {
    Kubelet(Kubelet),
    Systemd(Systemd),
}

/// A machine: a tree of files, and who starts and stops the etcd of it.
pub struct Machine {
    // First, so that nothing runs any more when the ports are free.
    service: Service,
    name: String,
    address: String,
    root: PathBuf,
    ports: Ports,
}

impl Machine {
    /// Its name, and that of its member.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its tree begins.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path of the machine as one that can be opened.
    pub fn on_disk(&self, path: impl AsRef<Path>) -> PathBuf {
        below(&self.root, path.as_ref())
    }

    /// Its data directory, as a path that can be opened.
    pub fn data_dir(&self) -> PathBuf {
        self.on_disk(tree::DATA)
    }

    /// The directory that kubelet looks into, as a path that can be opened.
    pub fn manifests(&self) -> PathBuf {
        self.on_disk(tree::MANIFESTS)
    }

    /// etcd's manifest, as a path that can be opened.
    pub fn manifest(&self) -> PathBuf {
        self.manifests().join("etcd.yaml")
    }

    /// Where clients reach its etcd.
    pub fn client_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.client.number())
    }

    /// Where its peers reach it.
    pub fn peer_url(&self) -> String {
        format!("https://{}:{}", self.address, self.ports.peer.number())
    }

    /// Its kubelet.
    ///
    /// # Panics
    /// Where systemd starts its etcd.
    pub fn kubelet(&self) -> &Kubelet {
        match &self.service {
            Service::Kubelet(kubelet) => kubelet,
            Service::Systemd(_) => panic!("there is no kubelet on {}", self.name),
        }
    }

    /// Its systemd.
    ///
    /// # Panics
    /// Where kubelet starts its etcd.
    pub fn systemd(&self) -> &Systemd {
        match &self.service {
            Service::Systemd(systemd) => systemd,
            Service::Kubelet(_) => panic!("there is no systemd on {}", self.name),
        }
    }

    /// Who starts its etcd.
    pub fn starter(&self) -> Starter {
        match &self.service {
            Service::Kubelet(_) => Starter::Kubelet,
            Service::Systemd(_) => Starter::Systemd,
        }
    }

    /// Whether a process of etcd is there, also one that is about to end.
    pub fn etcd_runs(&self) -> bool {
        self.etcd_process_id().is_some()
    }

    /// The operating system's number of its etcd.
    pub fn etcd_process_id(&self) -> Option<u32> {
        match &self.service {
            Service::Kubelet(kubelet) => kubelet.etcd_process_id(),
            Service::Systemd(systemd) => systemd.process_id(UNIT),
        }
    }

    /// How often its etcd was started.
    pub fn etcd_starts(&self) -> usize {
        match &self.service {
            Service::Kubelet(kubelet) => kubelet.starts_of("etcd"),
            Service::Systemd(systemd) => systemd.starts_of(UNIT),
        }
    }

    /// Whether the port of the API server is open.
    pub fn api_server_answers(&self) -> bool {
        is_open(self.ports.api_server.number())
    }

    /// Whether etcd's port for clients is open.
    pub fn etcd_port_is_open(&self) -> bool {
        is_open(self.ports.client.number())
    }

    /// Lets etcd hang: it keeps its ports and its lock, and does not hear SIGTERM.
    pub fn freeze_etcd(&self) -> Result<()> {
        match &self.service {
            Service::Kubelet(kubelet) => kubelet.freeze_etcd(),
            Service::Systemd(systemd) => systemd.freeze(UNIT),
        }
    }

    /// Lets it go on.
    pub fn thaw_etcd(&self) -> Result<()> {
        match &self.service {
            Service::Kubelet(kubelet) => kubelet.thaw_etcd(),
            Service::Systemd(systemd) => systemd.thaw(UNIT),
        }
    }

    /// The last lines of etcd's log, of all its lives.
    pub fn log_tail(&self) -> String {
        let log = fs::read(etcd_log(&self.root)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(20);
        lines[from..].join("\n")
    }

    /// Waits until the log of etcd, of any of its lives, has these words.
    pub fn wait_for_log(&self, words: &str) -> Result<()> {
        wait_for(&format!("{words:?} does not come into etcd's log"), || {
            Ok(fs::read_to_string(etcd_log(&self.root)).is_ok_and(|log| log.contains(words)))
        })
    }

    /// Stops etcd and what uses it as an administrator does, and waits for that. [`Machine::start_all`] takes it back.
    pub fn stop_all(&self) -> Result<()> {
        match &self.service {
            Service::Kubelet(kubelet) => {
                fs::rename(self.manifests(), self.root.join("stopped-manifests"))?;
                fs::create_dir(self.manifests())?;
                kubelet.wait_until_settled()
            }
            Service::Systemd(systemd) => systemd.call(&["stop", UNIT]).map(drop),
        }
    }

    /// Takes back [`Machine::stop_all`], and waits for nothing.
    pub fn start_all(&self) -> Result<()> {
        match &self.service {
            Service::Kubelet(_) => {
                fs::remove_dir(self.manifests())?;
                fs::rename(self.root.join("stopped-manifests"), self.manifests())?;
                Ok(())
            }
            Service::Systemd(systemd) => systemd.call(&["start", "--no-block", UNIT]).map(drop),
        }
    }

    /// The member is lost: stopped, its data deleted, and started again with nothing.
    pub fn lose_data(&self) -> Result<()> {
        self.stop_all()?;
        fs::remove_dir_all(self.data_dir().join("member"))?;
        self.start_all()
    }

    /// The database is damaged where every start looks: both metas; so etcd ends as often as it is started.
    pub fn damage_data(&self) -> Result<()> {
        self.stop_all()?;
        let database = self.data_dir().join("member/snap/db");
        let mut bytes = fs::read(&database)?;
        for byte in bytes.iter_mut().take(16_384) {
            *byte ^= 0x5a;
        }
        fs::write(&database, bytes)?;
        self.start_all()
    }
}

/// A path of the machine below its root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(
        path.components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect::<PathBuf>(),
    )
}

fn etcd_log(root: &Path) -> PathBuf {
    root.join("var/log/etcd.log")
}

/// What every etcd of the tests is started with, whoever starts it. Only 3.5 and newer know the second one; others pass over it.
fn etcd_command(mut command: Command) -> Command {
    command
        .env("ETCD_VERIFY", "all")
        .env("ETCD_UNSAFE_NO_FSYNC", "true");
    command
}

/// The number of a user of the tree.
fn user_id(root: &Path, user: &str) -> Result<u32> {
    let known = fs::read_to_string(root.join("etc/passwd"))?;
    let line = known
        .lines()
        .find(|line| line.starts_with(&format!("{user}:")))
        .with_context(|| format!("no user {user}"))?;
    Ok(line.split(':').nth(2).context("a number")?.parse()?)
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn is_open(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Looks again and again until something is so; the error has `otherwise`.
pub fn wait_for(otherwise: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() > until {
            bail!("{otherwise} within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
