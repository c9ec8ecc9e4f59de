//! Restored members, as real servers on loopback.
//!
//! TCP ports and not Unix sockets: peers cannot do without, every version of etcd is at home there, and with certificates on both
//! sides nobody else gets in.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_snap::api::Client;
use etcd_snap::api::messages::RangeRequest;
use etcd_snap::{Cluster, MemberId};
use serde_json::Value;

use super::asking::Asking;
use super::certificates::Certificates;
use super::executable::Executable;
use super::ports::Port;
use super::process::{self, Process};
use crate::observe::tell;
use crate::{Error, Observer, Result};

/// Who the members will be, before there is anything of them.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) client: Port,
    pub(super) peer: Port,
}

impl Planned {
    pub(super) fn reserve(name: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            client: Port::reserve()?,
            peer: Port::reserve()?,
        })
    }

    /// From here on its ports are the server's, or whoever is faster.
    pub(super) fn give_away(self) {
        self.client.give_away();
        self.peer.give_away();
    }

    pub(super) fn peer_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.peer.number)
    }

    fn client_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.client.number)
    }
}

/// A restored member.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) member_id: MemberId,
    pub(super) client_url: String,
    pub(super) peer_url: String,
    data_dir: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Server {
    pub(super) fn new(
        planned: &Planned,
        member_id: MemberId,
        data_dir: PathBuf,
        scratch: &Path,
    ) -> Self {
        Self {
            name: planned.name.clone(),
            member_id,
            client_url: planned.client_url(),
            peer_url: planned.peer_url(),
            data_dir,
            log: scratch.join(format!("{}.log", planned.name)),
            process: None,
        }
    }
}

/// The members of one cluster, which go down with it.
pub(super) struct Servers<'a> {
    pub(super) executable: &'a Executable,
    pub(super) certificates: &'a Certificates,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) token: String,
    pub(super) initial_cluster: String,
    pub(super) quota_bytes: u64,
    pub(super) timeout: Duration,
    pub(super) members: Vec<Server>,
}

/// Why a cluster does not serve.
#[derive(Debug)]
pub(super) enum NotServing {
    /// Somebody else has one of the ports.
    PortTaken(String),
    /// A sentence.
    Failed(String),
}

impl Servers<'_> {
    /// Starts all of them, and waits until each answers what needs a quorum.
    pub(super) fn start(&mut self, asking: &Asking) -> Result<std::result::Result<(), NotServing>> {
        for number in 0..self.members.len() {
            if let Err(why) = self.spawn(number)? {
                return Ok(Err(why));
            }
        }
        let began = Instant::now();
        let mut missing: Vec<usize> = (0..self.members.len()).collect();
        let mut last = String::new();
        while let Some(number) = missing.first().copied() {
            if let Some(ended) = self.ended() {
                return Ok(Err(ended));
            }
            let Some(member) = self.members.get(number) else {
                break;
            };
            if began.elapsed() > self.timeout {
                return Ok(Err(NotServing::Failed(self.silent(&member.name, &last))));
            }
            tell(
                self.observer.as_ref(),
                &process::waiting(&format!("for {} to serve", member.name)),
            )?;
            match asking.ask("to serve", serves(&self.cluster()?, &member.client_url))? {
                Ok(()) => {
                    missing.remove(0);
                }
                Err(why) => {
                    last = why.to_string();
                    process::pause();
                }
            }
        }
        Ok(Ok(()))
    }

    /// After a stop. A port that a passing connection of somebody took meanwhile is waited for.
    pub(super) fn start_again(
        &mut self,
        asking: &Asking,
    ) -> Result<std::result::Result<(), NotServing>> {
        const ATTEMPTS: usize = 20;
        for _ in 1..ATTEMPTS {
            match self.start(asking)? {
                Err(NotServing::PortTaken(_)) => {
                    self.stop();
                    tell(
                        self.observer.as_ref(),
                        &process::waiting("for a port that somebody has"),
                    )?;
                    process::pause();
                }
                started => return Ok(started),
            }
        }
        self.start(asking)
    }

    /// As a client sees it.
    pub(super) fn cluster(&self) -> Result<Cluster> {
        let endpoints = self.members.iter().map(|member| member.client_url.as_str());
        Ok(Cluster::new(endpoints)?
            .with_tls(self.certificates.tls.clone())
            .with_connect_timeout(Duration::from_secs(5).min(self.timeout)))
    }

    /// Ends all of them at once, in an orderly way unless that takes long: one that leads looks for another leader first, and there
    /// is none left.
    pub(super) fn stop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(3);
        std::thread::scope(|scope| {
            for member in &mut self.members {
                if let Some(mut process) = member.process.take() {
                    scope.spawn(move || process.stop(PATIENCE));
                }
            }
        });
    }

    fn spawn(&mut self, number: usize) -> Result<std::result::Result<(), NotServing>> {
        let (executable, certificates) = (self.executable, self.certificates);
        let Some(member) = self.members.get_mut(number) else {
            return Ok(Ok(()));
        };
        let log = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&member.log)
            .and_then(|log| Ok((log.try_clone()?, log)))
            .map_err(|e| Error::io("write", &member.log, e))?;
        let mut command = process::command(&executable.path);
        let flag = |name: &str, value: &str| OsString::from(format!("--{name}={value}"));
        let file = |name: &str, path: &Path| {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(path);
            flag
        };
        command
            .stdout(log.0)
            .stderr(log.1)
            .args([
                flag("name", &member.name),
                file("data-dir", &member.data_dir),
                flag("listen-client-urls", &member.client_url),
                flag("advertise-client-urls", &member.client_url),
                flag("listen-peer-urls", &member.peer_url),
                flag("initial-advertise-peer-urls", &member.peer_url),
                flag("initial-cluster", &self.initial_cluster),
                flag("initial-cluster-token", &self.token),
                // A member that finds no data has to fail, not to found an empty cluster.
                flag("initial-cluster-state", "existing"),
                // Whether a database fits is the business of its members' own quota.
                flag("quota-backend-bytes", &self.quota_bytes.to_string()),
                flag("logger", "zap"),
                "--client-cert-auth".into(),
                "--peer-client-cert-auth".into(),
            ])
            .args(["", "peer-"].iter().flat_map(|side| {
                [
                    file(&format!("{side}cert-file"), &certificates.server),
                    file(&format!("{side}key-file"), &certificates.server_key),
                    file(&format!("{side}trusted-ca-file"), &certificates.authority),
                ]
            }));
        if executable.can_do_without_fsync() {
            command.arg("--unsafe-no-fsync");
        }
        match Process::start(command) {
            Ok(process) => {
                member.process = Some(process);
                Ok(Ok(()))
            }
            Err(e) => Ok(Err(NotServing::Failed(format!(
                "{} cannot be started: {e}",
                executable.path.display()
            )))),
        }
    }

    /// The first that has ended, and why.
    fn ended(&mut self) -> Option<NotServing> {
        let member = self.members.iter_mut().find_map(|member| {
            let ended = member.process.as_mut().and_then(Process::ended)?;
            Some((member.name.clone(), member.log.clone(), ended))
        });
        let (name, log, how) = member?;
        let said = last_words(&log);
        if said.contains("address already in use") {
            return Some(NotServing::PortTaken(said));
        }
        let how = match how.code() {
            Some(code) => format!("with code {code}"),
            None => "by a signal".to_owned(),
        };
        Some(NotServing::Failed(format!(
            "etcd ended {how} before it served, as {name}: {said}"
        )))
    }

    fn silent(&self, name: &str, last: &str) -> String {
        let log = self.members.iter().find(|member| member.name == name);
        let said = log
            .map(|member| last_words(&member.log))
            .unwrap_or_default();
        format!(
            "{name} did not serve within {}: {last}; its last words: {said}",
            humantime::format_duration(self.timeout)
        )
    }
}

/// Answers what needs a leader and a quorum.
async fn serves(cluster: &Cluster, endpoint: &str) -> etcd_snap::Result<()> {
    let client = Client::connect(cluster, endpoint).await?;
    let any = RangeRequest {
        key: vec![0],
        range_end: vec![0],
        limit: 1,
        keys_only: true,
        ..RangeRequest::default()
    };
    client.range(any).await.map(drop).or_else(|error| {
        // A member with this alarm answers nobody, and yet it serves.
        let is_corrupt = error.to_string().contains("corrupt cluster");
        if is_corrupt { Ok(()) } else { Err(error) }
    })
}

/// The last lines of a log, those of trouble first of all; each of etcd's own as its message.
fn last_words(log: &Path) -> String {
    const LINES: usize = 4;
    const LONGEST: usize = 400;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let (mut words, mut trouble) = (Vec::new(), Vec::new());
    for line in lines {
        let (level, message) = message_of(line);
        let message: String = message.chars().take(LONGEST).collect();
        if matches!(level.as_deref(), Some("error" | "fatal" | "panic")) {
            trouble.push(message.clone());
        }
        words.push(message);
    }
    let mut chosen = if trouble.is_empty() { words } else { trouble };
    let rest = chosen.split_off(chosen.len().saturating_sub(LINES));
    if rest.is_empty() {
        "it said nothing".to_owned()
    } else {
        rest.join(" / ")
    }
}

/// Level and message of a line of zap, or the line.
fn message_of(line: &str) -> (Option<String>, String) {
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        return (None, line.trim().to_owned());
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let message = text("msg").unwrap_or(line);
    let message = match text("error") {
        Some(error) if !message.contains(error) => format!("{message}: {error}"),
        _ => message.to_owned(),
    };
    (text("level").map(ToOwned::to_owned), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_those_of_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("m1.log");
        assert_eq!(last_words(&log), "it said nothing");
        fs::write(&log, "one\n\ntwo\nthree\nfour\nfive\n").unwrap();
        assert_eq!(last_words(&log), "two / three / four / five");
        let lines = concat!(
            "{\"level\":\"info\",\"msg\":\"starting\"}\n",
            "{\"level\":\"fatal\",\"msg\":\"discovery failed\",\"error\":\"no such member\"}\n",
            "{\"level\":\"info\",\"msg\":\"closing\"}\n"
        );
        fs::write(&log, lines).unwrap();
        assert_eq!(last_words(&log), "discovery failed: no such member");
    }
}
