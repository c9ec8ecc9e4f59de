//! Everything that a client can see, in a form that two clusters can be compared in.

use super::*;
use crate::process;

/// What clients see of a cluster at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterState {
    /// The revision of the keys.
    pub revision: i64,
    /// One line a key in key order: key, both revisions, version, lease, length and SHA-256 of the value.
    pub keys: Vec<String>,
    /// One line a lease in id order: id, granted time to live, keys.
    pub leases: Vec<String>,
    /// One line a user or role in name order.
    pub users_and_roles: Vec<String>,
}

impl Cluster {
    /// The state at the current revision.
    pub fn state(&self) -> Result<ClusterState> {
        let (revision, keys) = self.keys_at(0)?;
        Ok(ClusterState {
            revision,
            keys,
            leases: self.leases()?,
            users_and_roles: self.users_and_roles()?,
        })
    }

    /// The keys at a revision (0 is the current one), and that revision.
    pub fn keys_at(&self, revision: i64) -> Result<(i64, Vec<String>)> {
        let mut command = process::command(&self.binaries.dump);
        self.add_connection(&mut command, &self.running_endpoints());
        command.arg(format!("--rev={revision}"));
        let text = self.noted(crate::etcd::stdout(&mut command))?;
        let mut lines = text.lines().map(str::to_owned);
        let head: serde_json::Value =
            serde_json::from_str(&lines.next().context("the dump is empty")?)?;
        let revision = head["revision"]
            .as_i64()
            .context("the dump has no revision")?;
        Ok((revision, lines.collect()))
    }

    /// All leases: id, granted time to live, keys.
    pub fn leases(&self) -> Result<Vec<String>> {
        let listed = self.etcdctl(["lease", "list"])?;
        let mut leases = Vec::new();
        // The first line counts them.
        for id in listed.lines().skip(1).filter(|line| !line.is_empty()) {
            let told = self.etcdctl(["lease", "timetolive", id, "--keys"])?;
            // lease 694d... granted with TTL(3600s), remaining(3599s), attached keys([a b])
            let granted = told.split(", remaining").next().unwrap_or_default();
            let keys = told
                .split_once("attached keys([")
                .and_then(|(_, keys)| keys.split_once("])"));
            let mut keys: Vec<&str> = keys
                .map_or("", |(keys, _)| keys)
                .split_whitespace()
                .collect();
            keys.sort_unstable();
            leases.push(format!("{granted}: {}", keys.join(" ")));
        }
        leases.sort();
        Ok(leases)
    }

    /// All users with their roles, all roles with their permissions.
    pub fn users_and_roles(&self) -> Result<Vec<String>> {
        let mut told = Vec::new();
        for kind in ["user", "role"] {
            for name in self.etcdctl([kind, "list"])?.split_whitespace() {
                let details = self.etcdctl([kind, "get", name])?;
                let words: Vec<&str> = details.split_whitespace().collect();
                told.push(format!("{kind} {name}: {}", words.join(" ")));
            }
        }
        Ok(told)
    }
}
