//! Clusters of real etcd servers on loopback.
//!
//! A restore needs to know names and peer URLs before the servers run. That is what a [`Plan`] is for:
//!
//! ```no_run
//! use etcd_snap_testdata::{cluster::Cluster, etcd::Version};
//!
//! # fn restore(_: &str, _: &str, _: &std::path::Path) {}
//! # fn main() -> anyhow::Result<()> {
//! let plan = Cluster::builder(Version::V3_6).members(3).plan()?;
//! for member in plan.members() {
//!     restore(&member.name, &plan.initial_cluster(), &member.data_dir);
//! }
//! let cluster = plan.start()?;
//! # Ok(())
//! # }
//! ```
//!
//! All servers run with `ETCD_VERIFY=all`. They are killed when the [`Cluster`] is dropped, and by the kernel when the test
//! process dies. After a panic, and after an error that came from here, the folder with data and logs stays and its place is
//! printed; `ETCD_SNAP_TEST_KEEP=1` keeps it always.

mod builder;
mod commands;
mod member;
pub(crate) mod ports;
mod state;
mod workload;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

pub use builder::{Builder, Plan, PlannedMember};
pub use commands::HashKv;
pub use member::Member;
pub use state::ClusterState;
pub use workload::{Bulk, BulkReport, Workload, Writer};

use crate::certificates::{Authority, IdentityFiles};
use crate::etcd::{Binaries, Version};

/// How long servers may take until they answer, on a machine that is busy with other tests.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// The password of the user `root` in clusters that were built with [`Builder::auth`].
pub const ROOT_PASSWORD: &str = "root-password";

/// How servers and clients talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// TLS with certificates on both sides, for clients and peers.
    #[default]
    MutualTls,
    /// TLS, but clients need no certificate. Peers do.
    ServerTls,
    /// Plain http for clients and peers.
    Plain,
}

impl Security {
    fn scheme(self) -> &'static str {
        match self {
            Security::MutualTls | Security::ServerTls => "https",
            Security::Plain => "http",
        }
    }
}

/// The files that servers and clients of a cluster use.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The authority's certificate: `--cacert`.
    pub authority: PathBuf,
    /// What servers and peers show.
    pub server: IdentityFiles,
    /// What clients show: `--cert` and `--key`.
    pub client: IdentityFiles,
}

/// A running cluster.
pub struct Cluster {
    binaries: Binaries,
    security: Security,
    authority: Authority,
    tls: TlsFiles,
    with_auth: bool,
    token: String,
    arguments: Vec<String>,
    members: Vec<Member>,
    folder: Folder,
    failed: AtomicBool,
}

/// Where the files of a cluster are.
#[derive(Debug)]
enum Folder {
    /// Goes with the cluster.
    Own(TempDir),
    /// Somebody else's.
    Given(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Own(folder) => folder.path(),
            Folder::Given(folder) => folder,
        }
    }
}

impl Cluster {
    /// Starts the description of a cluster: one member, mutual TLS, no auth.
    pub fn builder(version: Version) -> Builder {
        Builder::new(version)
    }

    /// The executables that it runs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The minor of its servers.
    pub fn version(&self) -> Version {
        self.binaries.version
    }

    /// How its servers and clients talk.
    pub fn security(&self) -> Security {
        self.security
    }

    /// The authority that signed its certificates, to make more of them.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The certificates, written also when the cluster is plain.
    pub fn tls(&self) -> &TlsFiles {
        &self.tls
    }

    /// User and password, when auth is on.
    pub fn credentials(&self) -> Option<(&'static str, &'static str)> {
        self.with_auth.then_some(("root", ROOT_PASSWORD))
    }

    /// The members, in the order in which they came in.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The client URL of every member, also of stopped ones.
    pub fn endpoints(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|member| member.client_url().to_owned())
            .collect()
    }

    /// The client URL of one member.
    pub fn endpoint(&self, member: usize) -> &str {
        self.members[member].client_url()
    }

    /// Everything of this cluster on disk: data directories, logs, certificates. Tests may put files here as well.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The value of `--initial-cluster` with all present members.
    pub fn initial_cluster(&self) -> String {
        builder::initial_cluster(
            self.members
                .iter()
                .map(|member| (member.name(), member.peer_url())),
        )
    }

    /// Stops one member in an orderly way (SIGTERM) and waits for its end. The others may have to elect a leader first:
    /// [`Cluster::wait_until_healthy`] before the next request.
    pub fn stop(&mut self, member: usize) -> Result<()> {
        let stopped = self.members[member].stop();
        self.noted(stopped)
    }

    /// Stops one member as a crash would (SIGKILL). The others may have to elect a leader first.
    pub fn kill(&mut self, member: usize) {
        self.members[member].kill();
    }

    /// Stops one member from doing anything (SIGSTOP): its connections stay and it says nothing more, as on a machine that
    /// hangs.
    pub fn freeze(&self, member: usize) -> Result<()> {
        self.noted(self.members[member].freeze())
    }

    /// Lets a frozen member go on.
    pub fn thaw(&self, member: usize) -> Result<()> {
        self.noted(self.members[member].signal(Signal::CONT))
    }

    /// Starts a stopped member on its data directory and waits until it takes part again.
    pub fn start_member(&mut self, member: usize) -> Result<()> {
        self.start_without_waiting(member)?;
        self.wait_until_healthy()
    }

    /// Starts all members that do not run on their data directories, which may have been restored meanwhile, and waits until
    /// every one takes part.
    pub fn start_all(&mut self) -> Result<()> {
        for place in 0..self.members.len() {
            if !self.members[place].is_running() {
                self.start_without_waiting(place)?;
            }
        }
        self.wait_until_healthy()
    }

    /// Stops and starts one member.
    pub fn restart(&mut self, member: usize) -> Result<()> {
        self.stop(member)?;
        self.start_member(member)
    }

    /// Adds a voting member to the running cluster, starts it, waits until it takes part, and returns its place in
    /// [`Cluster::members`].
    pub fn add_member(&mut self) -> Result<usize> {
        let place = self.add(&[])?;
        self.wait_until_healthy()?;
        Ok(place)
    }

    /// As [`Cluster::add_member`], a learner, which answers next to nothing: waits until it says that it has a leader.
    pub fn add_learner(&mut self) -> Result<usize> {
        let place = self.add(&["--learner"])?;
        let patience = Instant::now() + READY_WITHIN;
        loop {
            let mut command = self.etcdctl_command(&[self.endpoint(place)]);
            command.args(["endpoint", "status", "-w", "json"]);
            let output = crate::etcd::output(&mut command)?;
            let said = String::from_utf8_lossy(&output.stdout);
            if output.status.success() && said.contains("\"leader\":") {
                return Ok(place);
            }
            if let Some(status) = self.members[place].has_ended()? {
                let log = self.members[place].log_tail();
                let failure = format!("the learner ended with {status}:\n{log}");
                return self.noted(Err(anyhow::Error::msg(failure)));
            }
            if Instant::now() > patience {
                let log = self.members[place].log_tail();
                return self.noted(Err(anyhow::Error::msg(format!(
                    "the learner does not get ready: {said}\n{log}"
                ))));
            }
            pause();
        }
    }

    fn add(&mut self, more_arguments: &[&str]) -> Result<usize> {
        let place = self.members.len();
        let mut member = Member::reserve(&format!("m{}", place + 1), self.security, self.folder())?;
        let peers = format!("--peer-urls={}", member.peer_url());
        let mut arguments = vec!["member", "add", member.name(), &peers];
        arguments.extend(more_arguments);
        self.change_membership(&self.running_endpoints(), &arguments)
            .context("cannot add a member")?;
        self.wait_until_listed(member.peer_url())?;
        member.set_existing();
        self.members.push(member);
        self.start_without_waiting(place)?;
        Ok(place)
    }

    /// Waits until the log of a member has these words.
    pub fn wait_for_log(&self, member: usize, words: &str) -> Result<()> {
        let patience = Instant::now() + READY_WITHIN;
        while !std::fs::read_to_string(self.members[member].log())?.contains(words) {
            if Instant::now() > patience {
                let log = self.members[member].log_tail();
                let failure = format!("{words:?} does not come into the log:\n{log}");
                return self.noted(Err(anyhow::Error::msg(failure)));
            }
            pause();
        }
        Ok(())
    }

    /// Removes a member from the running cluster, stops its server and waits until the others answer. It keeps its place in
    /// [`Cluster::members`].
    pub fn remove_member(&mut self, member: usize) -> Result<()> {
        let listed = self.etcdctl(["member", "list"])?;
        // 8e9e05c52164694d, started, m1, https://127.0.0.1:2380, https://127.0.0.1:2379, false
        let id = listed
            .lines()
            .map(|line| line.split(", ").collect::<Vec<_>>())
            .find(|fields| fields.get(2) == Some(&self.members[member].name()))
            .and_then(|fields| fields.first().copied())
            .with_context(|| format!("not a member: {listed}"))?;
        // One that removes itself may stop before it has answered.
        let others = (0..self.members.len()).filter(|place| *place != member);
        let others = others.map(|place| &self.members[place]);
        let others: Vec<_> = others
            .filter(|it| it.is_running())
            .map(Member::client_url)
            .collect();
        self.change_membership(&others, &["member", "remove", id])
            .context("cannot remove a member")?;
        self.stop(member)?;
        self.wait_until_healthy()
    }

    /// Waits until every member that runs knows this peer URL: one that joins asks any of them who belongs to the cluster.
    /// Those that are no quorum without it do not answer before it joins; but they are two at most, and both have agreed.
    fn wait_until_listed(&self, peer_url: &str) -> Result<()> {
        let patience = Instant::now() + READY_WITHIN;
        let running: Vec<_> = (0..self.members.len())
            .filter(|place| self.members[*place].is_running())
            .collect();
        if running.len() * 2 <= self.members.len() + 1 {
            return Ok(());
        }
        for place in running {
            while !self
                .etcdctl_at(place, ["member", "list"])?
                .contains(peer_url)
            {
                if Instant::now() > patience {
                    bail!("member {place} does not hear of {peer_url}");
                }
                pause();
            }
        }
        Ok(())
    }

    /// A cluster that has just elected its leader refuses changes of membership for some seconds ("unhealthy cluster", "too
    /// many learner" and the like are answers of the same kind).
    fn change_membership(&self, endpoints: &[&str], arguments: &[&str]) -> Result<()> {
        let patience = Instant::now() + READY_WITHIN;
        loop {
            let mut command = self.etcdctl_command(endpoints);
            command.args(arguments);
            match crate::etcd::stdout(&mut command) {
                Ok(_) => return Ok(()),
                Err(error)
                    if error.to_string().contains("unhealthy cluster")
                        && Instant::now() < patience =>
                {
                    pause();
                }
                Err(error) => return self.noted(Err(error)),
            }
        }
    }

    /// Waits until every member that runs answers a linearizable read. The error has the last lines of the logs.
    pub fn wait_until_healthy(&mut self) -> Result<()> {
        let patience = Instant::now() + READY_WITHIN;
        for place in 0..self.members.len() {
            loop {
                if let Some(status) = self.members[place].has_ended()? {
                    let log = self.members[place].log_tail();
                    let failure = format!(
                        "member {} ended with {status}:\n{log}",
                        self.members[place].name()
                    );
                    return self.noted(Err(anyhow::Error::msg(failure)));
                }
                if !self.members[place].is_running() || self.is_healthy(place)? {
                    break;
                }
                if Instant::now() > patience {
                    let log = self.members[place].log_tail();
                    let failure = format!(
                        "member {} does not get ready:\n{log}",
                        self.members[place].name()
                    );
                    return self.noted(Err(anyhow::Error::msg(failure)));
                }
                pause();
            }
        }
        Ok(())
    }

    /// Whether a member answers a linearizable read now.
    pub fn is_healthy(&self, member: usize) -> Result<bool> {
        let mut command = self.etcdctl_command(&[self.endpoint(member)]);
        command.args(["endpoint", "health", "--command-timeout=5s"]);
        let output = crate::etcd::output(&mut command)?;
        // A server with an alarm is a server that answers.
        let said = [output.stdout, output.stderr].concat();
        Ok(output.status.success() || String::from_utf8_lossy(&said).contains("Active Alarm"))
    }

    /// Starts a stopped member on its data directory, whatever becomes of it.
    pub fn start_without_waiting(&mut self, place: usize) -> Result<()> {
        let initial_cluster = self.initial_cluster();
        let common = member::Common {
            binaries: &self.binaries,
            security: self.security,
            tls: &self.tls,
            token: &self.token,
            initial_cluster: &initial_cluster,
            arguments: &self.arguments,
        };
        let started = self.members[place].start(&common);
        self.noted(started)
    }

    /// Switches auth on with the user `root`.
    fn enable_auth(&mut self) -> Result<()> {
        self.etcdctl(["user", "add", &format!("root:{ROOT_PASSWORD}")])?;
        self.etcdctl(["user", "grant-role", "root", "root"])?;
        self.etcdctl(["auth", "enable"])?;
        self.with_auth = true;
        Ok(())
    }

    /// Remembers that something failed, so that the folder with the logs is kept.
    fn noted<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.kill();
        }
        let keep = std::thread::panicking()
            || self.failed.load(Ordering::Relaxed)
            || std::env::var_os("ETCD_SNAP_TEST_KEEP").is_some();
        if keep && let Folder::Own(folder) = &mut self.folder {
            folder.disable_cleanup(true);
            eprintln!(
                "data and logs of the cluster are kept in {}",
                folder.path().display()
            );
        }
    }
}

/// Between two looks at something that another process does.
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
