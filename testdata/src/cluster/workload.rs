//! Filling a cluster with everything that a snapshot can hold.

use std::io::Read as _;
use std::process::Stdio;

use serde::Deserialize;

use super::*;
use crate::process::{self, Process};

/// Many puts by the `bulk` tool: keys `prefix00000000`, `prefix00000001`, ... with values that follow from the key.
#[derive(Debug, Clone)]
pub struct Bulk {
    /// What every key begins with.
    pub prefix: String,
    /// How many keys.
    pub keys: usize,
    /// Length of each value.
    pub value_bytes: usize,
    /// Puts in one transaction: 1 is a plain put, 128 the most that servers take by default.
    pub puts_per_transaction: usize,
}

impl Default for Bulk {
    fn default() -> Self {
        Bulk {
            prefix: "bulk/".to_owned(),
            keys: 1000,
            value_bytes: 64,
            puts_per_transaction: 1,
        }
    }
}

/// What [`Cluster::bulk`] and [`Writer::stop`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct BulkReport {
    /// How many puts were answered.
    pub puts: i64,
    /// The greatest revision among the answers.
    pub revision: i64,
}

/// Writes in the background until it is stopped or dropped.
#[derive(Debug)]
pub struct Writer {
    process: Process,
}

/// Puts, overwrites, deletes, transactions of several operations, leases, users and roles, big values and a compaction.
#[derive(Debug, Clone)]
pub struct Workload {
    /// How many keys in bulk, besides some dozens of special ones.
    pub keys: usize,
    /// How many values of 1.5 MB.
    pub big_values: usize,
    /// Whether to add users and roles (they are there, auth stays as it is).
    pub users: bool,
    /// Whether to compact, at a revision in the middle.
    pub compact: bool,
}

impl Default for Workload {
    fn default() -> Self {
        Workload {
            keys: 200,
            big_values: 1,
            users: true,
            compact: true,
        }
    }
}

impl Workload {
    /// The whole load of the first issue: 20 000 keys and several values of 1.5 MB.
    pub fn large() -> Self {
        Workload {
            keys: 20_000,
            big_values: 4,
            ..Workload::default()
        }
    }
}

/// Length of a value near the largest request that a server takes by default (1.5 MiB).
const BIG_VALUE_BYTES: usize = 1_500_000;

impl Cluster {
    /// Puts many keys quickly.
    pub fn bulk(&self, bulk: &Bulk) -> Result<BulkReport> {
        let mut command = self.bulk_command(bulk);
        let report =
            crate::etcd::stdout(&mut command).and_then(|text| Ok(serde_json::from_str(&text)?));
        self.noted(report)
    }

    /// Puts the same keys over and over in the background.
    pub fn write_in_background(&self, bulk: &Bulk) -> Result<Writer> {
        let mut command = self.bulk_command(bulk);
        command.arg("--forever");
        let process = Process::spawn_with(
            &self.binaries.bulk,
            command,
            Stdio::piped(),
            Stdio::inherit(),
        );
        let process = self.noted(process)?;
        // The caller wants to meet a cluster that is being written to.
        let (before, patience) = (self.revision(0)?, Instant::now() + READY_WITHIN);
        while self.revision(0)? == before {
            if Instant::now() > patience {
                return self.noted(Err(anyhow::Error::msg(
                    "the background writer does not write",
                )));
            }
            pause();
        }
        Ok(Writer { process })
    }

    fn bulk_command(&self, bulk: &Bulk) -> std::process::Command {
        let mut command = process::command(&self.binaries.bulk);
        self.add_connection(&mut command, &self.running_endpoints());
        // Large values in flight make the server's log grow faster than it can be read back by a slow member.
        let workers = if bulk.value_bytes > 100_000 { 2 } else { 64 };
        command
            .arg(format!("--prefix={}", bulk.prefix))
            .arg(format!("--count={}", bulk.keys))
            .arg(format!("--value-bytes={}", bulk.value_bytes))
            .arg(format!("--ops-per-txn={}", bulk.puts_per_transaction))
            .arg(format!("--workers={workers}"));
        command
    }

    /// Writes the load and returns the revision after it.
    pub fn write(&self, load: &Workload) -> Result<i64> {
        let plain = Bulk {
            prefix: "plain/".to_owned(),
            keys: load.keys,
            ..Bulk::default()
        };
        self.bulk(&plain)?;
        self.bulk(&Bulk {
            prefix: "txn/".to_owned(),
            keys: 60,
            puts_per_transaction: 20,
            ..Bulk::default()
        })?;
        self.bulk(&Bulk {
            keys: load.keys.min(50),
            value_bytes: 10,
            ..plain
        })?;
        if load.big_values > 0 {
            self.bulk(&Bulk {
                prefix: "big/".to_owned(),
                keys: load.big_values,
                value_bytes: BIG_VALUE_BYTES,
                ..Bulk::default()
            })?;
        }
        self.etcdctl(["del", "plain/00000010", "plain/00000020"])?;
        let middle = self.revision(0)?;
        self.etcdctl(["del", "--prefix", "plain/0000000"])?;
        // Puts and deletes in one revision, and one key deleted and written again.
        self.etcdctl_with_input(
            ["txn"],
            b"\nput mixed/a 1\nput mixed/b 2\ndel txn/00000003\nput mixed/c 3\n\n\n",
        )?;
        self.etcdctl(["del", "mixed/a"])?;
        self.etcdctl(["put", "mixed/a", "again"])?;
        // Bytes that are neither text nor short.
        self.etcdctl_with_input(["put", "binary/\u{1f512}"], &[0, 255, 10, 0])?;
        self.etcdctl(["put", "empty", ""])?;
        for (place, time_to_live) in ["3600", "7200", "86400"].iter().enumerate() {
            let granted = self.etcdctl(["lease", "grant", time_to_live])?;
            let lease = granted
                .split_whitespace()
                .nth(1)
                .context("etcdctl did not name the lease")?
                .to_owned();
            for key in 0..place {
                self.etcdctl([
                    "put",
                    &format!("leased/{place}/{key}"),
                    "soon gone",
                    &format!("--lease={lease}"),
                ])?;
            }
        }
        if load.users {
            self.etcdctl(["role", "add", "reader"])?;
            self.etcdctl([
                "role",
                "grant-permission",
                "reader",
                "--prefix=true",
                "read",
                "plain/",
            ])?;
            self.etcdctl(["user", "add", "guest:guest-password"])?;
            self.etcdctl(["user", "grant-role", "guest", "reader"])?;
        }
        if load.compact {
            self.etcdctl(["compact", &middle.to_string(), "--physical"])?;
        }
        self.etcdctl(["put", "last", "written"])?;
        self.revision(0)
    }
}

impl Writer {
    /// Stops it and returns what it wrote.
    pub fn stop(mut self) -> Result<BulkReport> {
        let status = self.process.terminate()?;
        let mut text = String::new();
        if let Some(mut stdout) = self.process.take_stdout() {
            stdout.read_to_string(&mut text)?;
        }
        if !status.success() {
            bail!("the background writer ended with {status}");
        }
        Ok(serde_json::from_str(&text)?)
    }
}
