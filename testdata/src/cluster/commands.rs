//! etcd's own client and tools, pointed at the cluster.

use std::ffi::OsStr;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::process;

/// What one member answers to HashKV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    /// The hash over keys and values.
    pub hash: u32,
    /// The current revision of the member.
    pub revision: i64,
    /// The revision up to which it is compacted; -1 when it never was.
    pub compact_revision: i64,
}

impl Cluster {
    /// A ready `etcdctl` with endpoints, TLS files and credentials; arguments go on behind.
    pub fn etcdctl_command(&self, endpoints: &[&str]) -> Command {
        let mut command = process::command(&self.binaries.etcdctl);
        command
            .env("ETCDCTL_API", "3")
            .args(["--command-timeout=60s", "--dial-timeout=20s"]);
        self.add_connection(&mut command, endpoints);
        command
    }

    /// Runs `etcdctl` against all members and returns its stdout.
    pub fn etcdctl<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let result = self.try_etcdctl(arguments);
        self.noted(result)
    }

    /// As [`Cluster::etcdctl`], against one member.
    pub fn etcdctl_at<S: AsRef<OsStr>>(
        &self,
        member: usize,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let mut command = self.etcdctl_command(&[self.endpoint(member)]);
        command.args(arguments);
        self.noted(crate::etcd::stdout(&mut command))
    }

    /// As [`Cluster::etcdctl`], with text on its stdin: the value of a put, the operations of a txn.
    pub fn etcdctl_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<String> {
        let endpoints = self.running_endpoints();
        let mut command = self.etcdctl_command(&endpoints);
        command.args(arguments);
        let result = crate::etcd::output_with_input(&mut command, input).and_then(|output| {
            if !output.status.success() {
                bail!("{}", crate::etcd::describe(&command, &output));
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        });
        self.noted(result)
    }

    /// As [`Cluster::etcdctl`], where a failure is expected: it does not keep the cluster's folder.
    pub fn try_etcdctl<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let endpoints = self.running_endpoints();
        let mut command = self.etcdctl_command(&endpoints);
        command.args(arguments);
        crate::etcd::stdout(&mut command)
    }

    /// Runs `etcdutl`, or 3.4's `etcdctl`, and returns its stdout. It knows nothing of the running servers.
    pub fn etcdutl<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        self.noted(self.binaries.offline(arguments))
    }

    /// Takes a snapshot of one member with `etcdctl snapshot save`.
    pub fn save_with_etcdctl(&self, member: usize, path: &Path) -> Result<()> {
        self.etcdctl_at(
            member,
            [OsStr::new("snapshot"), OsStr::new("save"), path.as_os_str()],
        )
        .map(drop)
    }

    /// What one member answers to HashKV at a revision; 0 is its current one.
    pub fn hash_kv(&self, member: usize, revision: i64) -> Result<HashKv> {
        let text = self.etcdctl_at(
            member,
            [
                "endpoint",
                "hashkv",
                "-w",
                "json",
                &format!("--rev={revision}"),
            ],
        )?;
        self.noted(
            parse_hash_kv(&text)
                .with_context(|| format!("cannot read the answer of etcdctl: {text}")),
        )
    }

    /// What one member answers to HashKV at each of these revisions, or in which words it refuses.
    pub fn hash_kvs(
        &self,
        member: usize,
        revisions: impl IntoIterator<Item = i64>,
    ) -> Result<Vec<(i64, Result<HashKv, String>)>> {
        let mut command = process::command(&self.binaries.hashkv);
        self.add_connection(&mut command, &[self.endpoint(member)]);
        command.args(revisions.into_iter().map(|revision| revision.to_string()));
        let answers = crate::etcd::stdout(&mut command).and_then(|text| {
            let answers = text.lines().map(parse_answer);
            answers.collect()
        });
        self.noted(answers)
    }

    /// The greatest revision that one member knows.
    pub fn revision(&self, member: usize) -> Result<i64> {
        Ok(self.hash_kv(member, 0)?.revision)
    }

    /// Waits until every member that runs has written its storage version into its database, which servers from 3.6 on do some
    /// seconds after the cluster has agreed on its version. Returns at once for older ones.
    pub fn wait_for_storage_version(&self) -> Result<()> {
        let wanted = format!("\"storageVersion\":\"{}.0\"", self.version());
        let patience = Instant::now() + READY_WITHIN;
        while self.version() >= Version::V3_6 {
            let status = self.etcdctl(["endpoint", "status", "-w", "json"])?;
            if status.matches(&wanted).count() == self.running_endpoints().len() {
                break;
            }
            if Instant::now() > patience {
                return self.noted(Err(anyhow::Error::msg(format!(
                    "no storage version: {status}"
                ))));
            }
            pause();
        }
        Ok(())
    }

    /// Waits until all running members have the same revision and the same data; returns what they agree on.
    pub fn agreed_hash_kv(&self) -> Result<HashKv> {
        let running = || (0..self.members.len()).filter(|place| self.members[*place].is_running());
        let patience = Instant::now() + READY_WITHIN;
        loop {
            let answers = running()
                .map(|place| self.hash_kv(place, 0))
                .collect::<Result<Vec<_>>>()?;
            let first = *answers.first().context("no member runs")?;
            if answers.iter().all(|answer| *answer == first) {
                return Ok(first);
            }
            if Instant::now() > patience {
                return self.noted(Err(anyhow::Error::msg(format!(
                    "the members do not agree: {answers:?}"
                ))));
            }
            pause();
        }
    }

    pub(super) fn running_endpoints(&self) -> Vec<&str> {
        let running = self.members.iter().filter(|member| member.is_running());
        running.map(Member::client_url).collect()
    }

    pub(super) fn add_connection(&self, command: &mut Command, endpoints: &[&str]) {
        command.arg(format!("--endpoints={}", endpoints.join(",")));
        if self.security != Security::Plain {
            command.arg("--cacert").arg(&self.tls.authority);
        }
        if self.security == Security::MutualTls {
            command
                .arg("--cert")
                .arg(&self.tls.client.certificate)
                .arg("--key")
                .arg(&self.tls.client.key);
        }
        if let Some((user, password)) = self.credentials() {
            command.arg(format!("--user={user}:{password}"));
        }
    }
}

fn parse_hash_kv(text: &str) -> Option<HashKv> {
    let answers: Value = serde_json::from_str(text).ok()?;
    let answer = answers.get(0)?.get("HashKV")?;
    Some(HashKv {
        hash: u32::try_from(number(answer.get("hash")?)?).ok()?,
        revision: number(answer.get("header")?.get("revision")?)?,
        // Left out by the server's JSON when it is 0.
        compact_revision: answer.get("compact_revision").map_or(Some(0), number)?,
    })
}

/// A line of the `hashkv` tool.
fn parse_answer(line: &str) -> Result<(i64, Result<HashKv, String>)> {
    #[derive(Deserialize)]
    struct Answer {
        asked: i64,
        revision: i64,
        hash: u32,
        compact_revision: i64,
        refused: String,
    }
    let answer: Answer = serde_json::from_str(line)?;
    let given = if answer.refused.is_empty() {
        Ok(HashKv {
            hash: answer.hash,
            revision: answer.revision,
            compact_revision: answer.compact_revision,
        })
    } else {
        Err(answer.refused)
    };
    Ok((answer.asked, given))
}

/// 64-bit numbers are JSON numbers up to etcd 3.6 and may be strings where protobuf's own JSON is printed.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}
