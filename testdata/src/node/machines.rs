//! One or three machines whose etcds are a cluster.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::tree::{self, Description};
use super::{Kubelet, Machine, Ports, Service, Starter, Systemd, UNIT, Watch, wait_for};
use crate::certificates::Authority;
use crate::cluster::ports::Port;
use crate::etcd::{Binaries, Version};
use crate::process;

/// What machines shall be like; see [`Machines::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    version: Version,
    machines: usize,
    starter: Starter,
}

/// Machines whose etcds are one cluster.
pub struct Machines {
    // First, so that servers end before their folder goes.
    machines: Vec<Machine>,
    version: Version,
    binaries: Binaries,
    with_user: bool,
    folder: Option<TempDir>,
}

impl Builder {
    /// How many, named `cp-1`, `cp-2`, ...
    pub fn machines(mut self, count: usize) -> Self {
        self.machines = count;
        self
    }

    /// Who starts their etcds.
    pub fn started_by(mut self, starter: Starter) -> Self {
        self.starter = starter;
        self
    }

    /// Writes the trees, starts everything and waits until the cluster serves.
    pub fn start(&self) -> Result<Machines> {
        let folder = tempfile::Builder::new()
            .prefix("etcd-snap-node-")
            .tempdir()?;
        // Others than root have to get to the trees.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let binaries = Binaries::find(self.version)?;
        let authority = Authority::new("etcd-ca")?;
        let places = (1..=self.machines)
            .map(|number| Place::reserve(number, folder.path()))
            .collect::<Result<Vec<_>>>()?;
        let mut machines = Machines {
            machines: Vec::new(),
            version: self.version,
            binaries,
            with_user: self.starter == Starter::Systemd && rustix::process::geteuid().is_root(),
            folder: None,
        };
        let entries: Vec<_> = places.iter().map(Place::entry).collect();
        for (number, place) in places.into_iter().enumerate() {
            machines.add(self.starter, &authority, place, number, &entries)?;
        }
        machines.folder = Some(folder);
        machines.wait_until_healthy()?;
        for machine in &machines.machines {
            match &machine.service {
                Service::Kubelet(kubelet) => kubelet.forget_more_arguments(),
                Service::Systemd(systemd) => systemd.wait_until_active(UNIT)?,
            }
        }
        Ok(machines)
    }
}

struct Place {
    name: String,
    address: String,
    root: PathBuf,
    ports: Ports,
}

impl Place {
    fn reserve(number: usize, folder: &Path) -> Result<Self> {
        let name = format!("cp-{number}");
        let root = folder.join(&name);
        fs::create_dir_all(root.join("var/log"))?;
        Ok(Self {
            // All of 127/8 is this machine.
            address: format!("127.0.0.{}", 10 + number),
            ports: Ports {
                client: Port::reserve()?,
                peer: Port::reserve()?,
                metrics: Port::reserve()?,
                api_server: Port::reserve()?,
            },
            name,
            root,
        })
    }

    fn entry(&self) -> String {
        format!(
            "{}=https://{}:{}",
            self.name,
            self.address,
            self.ports.peer.number()
        )
    }
}

impl Machines {
    /// Starts the description of machines: one, whose etcd kubelet starts.
    pub fn builder(version: Version) -> Builder {
        Builder {
            version,
            machines: 1,
            starter: Starter::Kubelet,
        }
    }

    fn add(
        &mut self,
        starter: Starter,
        authority: &Authority,
        place: Place,
        number: usize,
        entries: &[String],
    ) -> Result<()> {
        let all = entries.join(",");
        // kubeadm writes down who was there when a member came: the first one knows itself only.
        let known = match starter {
            Starter::Kubelet => entries
                .get(..=number)
                .context("more machines than entries")?
                .join(","),
            Starter::Systemd => all.clone(),
        };
        let description = Description {
            name: &place.name,
            address: &place.address,
            ports: &place.ports,
            version: self.version,
            initial_cluster: &known,
            joins: starter == Starter::Kubelet && number > 0,
            with_user: self.with_user,
        };
        tree::write(
            &place.root,
            starter,
            authority,
            &self.binaries,
            &description,
        )?;
        let service = match starter {
            // All are founded together, which takes less time than one member joining after the other.
            Starter::Kubelet => Service::Kubelet(Kubelet::start(
                &place.root,
                Path::new(tree::MANIFESTS),
                &self.binaries.etcd,
                vec![
                    format!("--initial-cluster={all}"),
                    "--initial-cluster-state=new".to_owned(),
                ],
            )),
            Starter::Systemd => {
                let systemd = Systemd::start(&place.root)?;
                systemd.call(&["start", "--no-block", UNIT])?;
                Service::Systemd(systemd)
            }
        };
        self.machines.push(Machine {
            service,
            name: place.name,
            address: place.address,
            root: place.root,
            ports: place.ports,
        });
        Ok(())
    }

    /// All of them.
    pub fn all(&self) -> &[Machine] {
        &self.machines
    }

    /// One of them, counted from 0.
    pub fn machine(&self, place: usize) -> &Machine {
        &self.machines[place]
    }

    /// The executables that run on them.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Where all trees are. Tests may put files here as well.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new("/"), TempDir::path)
    }

    /// What kubeadm writes into a machine's manifest at an upgrade: its own text, from its own configuration, whatever was there.
    pub fn upgrade_with_kubeadm(&self, place: usize) -> Result<()> {
        let machine = self.machine(place);
        let entries: Vec<_> = self
            .machines
            .iter()
            .map(|it| format!("{}={}", it.name, it.peer_url()))
            .collect();
        let text = tree::etcd_manifest(&Description {
            name: &machine.name,
            address: &machine.address,
            ports: &machine.ports,
            version: self.version,
            initial_cluster: &entries.join(","),
            joins: self.machines.len() > 1,
            with_user: false,
        });
        // As kubeadm does: the new one appears whole.
        let staged = machine.root.join("upgraded.yaml");
        fs::write(&staged, text)?;
        fs::rename(staged, machine.manifest())?;
        Ok(())
    }

    /// A ready `etcdctl` for one machine; arguments go on behind.
    pub fn etcdctl_command(&self, place: usize) -> Command {
        let machine = self.machine(place);
        let starter = machine.starter();
        let client = match starter {
            Starter::Kubelet => "healthcheck-client",
            Starter::Systemd => "client",
        };
        let pki = machine.on_disk(tree::pki(starter));
        let mut command = process::command(&self.binaries.etcdctl);
        command
            .env("ETCDCTL_API", "3")
            .args(["--command-timeout=60s", "--dial-timeout=20s"])
            .args(["--endpoints", &machine.client_url()])
            .arg("--cacert")
            .arg(pki.join("ca.crt"))
            .arg("--cert")
            .arg(pki.join(format!("{client}.crt")))
            .arg("--key")
            .arg(pki.join(format!("{client}.key")));
        command
    }

    /// Runs `etcdctl` against one machine and returns its stdout.
    pub fn etcdctl<S: AsRef<OsStr>>(
        &self,
        place: usize,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let mut command = self.etcdctl_command(place);
        command.args(arguments);
        crate::etcd::stdout(&mut command)
    }

    /// Writes a key through the first machine.
    pub fn put(&self, key: &str, value: &str) -> Result<()> {
        self.etcdctl(0, ["put", key, value]).map(drop)
    }

    /// Writes many keys `prefix/0001`... through the first machine, in few transactions.
    pub fn put_many(&self, prefix: &str, count: usize) -> Result<()> {
        let numbers: Vec<usize> = (1..=count).collect();
        for some in numbers.chunks(100) {
            let puts: String = some
                .iter()
                .map(|number| format!("put {prefix}/{number:04} value-{number}\n"))
                .collect();
            let mut command = self.etcdctl_command(0);
            command.arg("txn");
            let text = format!("\n{puts}\n\n");
            let output = crate::etcd::output_with_input(&mut command, text.as_bytes())?;
            if !output.status.success() {
                bail!("{}", crate::etcd::describe(&command, &output));
            }
        }
        Ok(())
    }

    /// All keys and values that one machine knows, in the order of the keys.
    pub fn keys(&self, place: usize) -> Result<Vec<(String, String)>> {
        let said = self.etcdctl(place, ["get", "", "--prefix"])?;
        let lines: Vec<_> = said.lines().map(str::to_owned).collect();
        Ok(lines
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect())
    }

    /// The revision that one machine is at.
    pub fn revision(&self, place: usize) -> Result<i64> {
        let said = self.etcdctl(place, ["endpoint", "status", "-w", "json"])?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        said[0]["Status"]["header"]["revision"]
            .as_i64()
            .with_context(|| format!("no revision in {said}"))
    }

    /// The names of the members, as one machine knows them, sorted.
    pub fn members(&self, place: usize) -> Result<Vec<String>> {
        let said = self.etcdctl(place, ["member", "list"])?;
        let mut names: Vec<_> = said
            .lines()
            .filter_map(|line| line.split(", ").nth(2))
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }

    /// Takes a snapshot of the first machine with `etcdctl snapshot save`, into the folder of all.
    pub fn save(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder().join(name);
        self.etcdctl(
            0,
            [OsStr::new("snapshot"), OsStr::new("save"), path.as_os_str()],
        )?;
        Ok(path)
    }

    /// Opens a watch for everything, at one machine.
    pub fn watch(&self, place: usize) -> Result<Watch> {
        let log = tempfile::Builder::new()
            .prefix("watch-")
            .tempfile_in(self.folder())?;
        let (_, log) = log.keep()?;
        Watch::start(&self.binaries.etcdctl, self.etcdctl_command(place), log)
    }

    /// Whether a machine answers a linearizable read now.
    pub fn is_healthy(&self, place: usize) -> Result<bool> {
        let mut command = self.etcdctl_command(place);
        command.args(["endpoint", "health", "--command-timeout=3s"]);
        Ok(crate::etcd::output(&mut command)?.status.success())
    }

    /// Waits until every machine answers a linearizable read.
    pub fn wait_until_healthy(&self) -> Result<()> {
        for place in 0..self.machines.len() {
            wait_for("the cluster is not healthy", || self.is_healthy(place))
                .with_context(|| self.machine(place).log_tail())?;
        }
        Ok(())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.machines.clear();
        let keep = std::thread::panicking() || std::env::var_os("ETCD_SNAP_TEST_KEEP").is_some();
        if let Some(folder) = self.folder.take()
            && keep
        {
            let folder = folder.keep();
            eprintln!("the machines are kept in {}", folder.display());
        }
    }
}
