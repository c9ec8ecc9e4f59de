//! What the demo writes, and whether a cluster holds exactly that.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::cluster::Cluster;

/// Orders that are put first.
const ORDERS: usize = 300;
/// The first so many of them are put once more, with another value.
const CHANGED: usize = 50;
/// The last so many of them are deleted.
const DELETED: usize = 40;
/// Fewer than the 128 operations that a server takes in one transaction.
const IN_A_TRANSACTION: usize = 100;

/// The keys that must be there, with their values.
#[derive(Debug, Default)]
pub(super) struct Load {
    keys: BTreeMap<String, String>,
    /// The lease that some of the keys hang on.
    lease: String,
}

impl Load {
    /// Writes everything. The cluster is empty before.
    pub(super) fn write(cluster: &Cluster) -> Result<Self> {
        let mut load = Load::default();
        load.put(cluster, (0..ORDERS).map(|number| order(number, "ordered")))?;
        load.put(
            cluster,
            (0..CHANGED).map(|number| order(number, "delivered")),
        )?;
        load.delete(cluster, ORDERS - DELETED, ORDERS)?;
        load.lease(cluster)?;
        Ok(load)
    }

    /// What was written, in a sentence.
    pub(super) fn describe(&self) -> String {
        format!(
            "{ORDERS} keys put, {CHANGED} of them put again, {DELETED} deleted, 2 more on a lease of a day: \
             {} keys",
            self.keys.len()
        )
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    fn put(
        &mut self,
        cluster: &Cluster,
        pairs: impl Iterator<Item = (String, String)>,
    ) -> Result<()> {
        let pairs: Vec<_> = pairs.collect();
        for some in pairs.chunks(IN_A_TRANSACTION) {
            let puts: Vec<_> = some
                .iter()
                .map(|(key, value)| format!("put {key} {value}"))
                .collect();
            // No condition; what is done; nothing otherwise.
            let transaction = format!("\n{}\n\n\n", puts.join("\n"));
            let answer = cluster.etcdctl_with_input(["txn"], transaction.as_bytes())?;
            ensure!(
                answer.starts_with("SUCCESS"),
                "the transaction was refused: {answer}"
            );
        }
        self.keys.extend(pairs);
        Ok(())
    }

    fn delete(&mut self, cluster: &Cluster, from: usize, to: usize) -> Result<()> {
        let (from, to) = (order(from, "").0, order(to, "").0);
        cluster.etcdctl(["del", &from, &to])?;
        self.keys.retain(|key, _| *key < from || *key >= to);
        Ok(())
    }

    fn lease(&mut self, cluster: &Cluster) -> Result<()> {
        let granted = cluster.etcdctl(["lease", "grant", "86400"])?;
        // lease 694d... granted with TTL(86400s)
        let id = granted.split_whitespace().nth(1);
        self.lease = id.context("etcdctl did not name the lease")?.to_owned();
        for name in ["workers/1", "workers/2"] {
            cluster.etcdctl(["put", name, "busy", "--lease", &self.lease])?;
            self.keys.insert(name.to_owned(), "busy".to_owned());
        }
        Ok(())
    }

    /// Compares with all keys that one member holds itself, without asking the others.
    pub(super) fn is_all_of(&self, cluster: &Cluster, member: usize) -> Result<()> {
        let text = cluster.etcdctl_at(member, ["get", "", "--prefix", "--consistency=s"])?;
        let name = cluster.members()[member].name();
        self.equals(&pairs(&text)?)
            .with_context(|| format!("member {name} does not hold what was written"))
    }

    /// Compares the leases.
    pub(super) fn has_its_lease(&self, leases: &[String]) -> Result<()> {
        let expected = format!(
            "lease {} granted with TTL(86400s): workers/1 workers/2",
            self.lease
        );
        ensure!(
            leases == [expected.as_str()],
            "instead of {expected:?} there is {leases:?}"
        );
        Ok(())
    }

    fn equals(&self, found: &BTreeMap<String, String>) -> Result<()> {
        for (key, value) in &self.keys {
            let is = found
                .get(key)
                .with_context(|| format!("the key {key} is missing"))?;
            ensure!(
                is == value,
                "the key {key} has the value {is:?} instead of {value:?}"
            );
        }
        for key in found.keys() {
            ensure!(
                self.keys.contains_key(key),
                "the key {key} should not be there"
            );
        }
        Ok(())
    }
}

fn order(number: usize, state: &str) -> (String, String) {
    // 200 bytes or so, so that the pages of the database are more than a handful.
    let value = format!("{state}:{}", format!("{number:04}-").repeat(40));
    (format!("orders/{number:04}"), value)
}

/// The lines that etcdctl prints: a key, its value, a key, its value.
fn pairs(text: &str) -> Result<BTreeMap<String, String>> {
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.chunks(2).map(|pair| match pair {
        [key, value] => Ok(((*key).to_owned(), (*value).to_owned())),
        _ => anyhow::bail!("the last key has no value: {pair:?}"),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load {
            keys: [order(1, "a"), order(2, "b")].into(),
            lease: "1f".to_owned(),
        }
    }

    fn printed(pairs: &[(String, String)]) -> BTreeMap<String, String> {
        let text: String = pairs
            .iter()
            .map(|(key, value)| format!("{key}\n{value}\n"))
            .collect();
        super::pairs(&text).unwrap()
    }

    #[test]
    fn only_exactly_what_was_written_will_do() {
        let (one, two, other) = (order(1, "a"), order(2, "b"), order(3, "c"));
        let verdict = |pairs: &[(String, String)]| match load().equals(&printed(pairs)) {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(verdict(&[one.clone(), two.clone()]), "fine");
        assert_eq!(
            verdict(std::slice::from_ref(&one)),
            "the key orders/0002 is missing"
        );
        assert_eq!(
            verdict(&[one.clone(), two, other]),
            "the key orders/0003 should not be there"
        );
        let changed = verdict(&[one, order(2, "x")]);
        assert!(
            changed.starts_with("the key orders/0002 has the value \"x:0002"),
            "{changed}"
        );
    }

    #[test]
    fn only_its_own_lease_will_do() {
        let line = |id, keys| format!("lease {id} granted with TTL(86400s): {keys}");
        let both = "workers/1 workers/2";
        assert!(load().has_its_lease(&[line("1f", both)]).is_ok());
        assert!(load().has_its_lease(&[]).is_err());
        assert!(load().has_its_lease(&[line("1e", both)]).is_err());
        assert!(load().has_its_lease(&[line("1f", "workers/1")]).is_err());
        assert!(
            load()
                .has_its_lease(&[line("1f", both), line("2f", "")])
                .is_err()
        );
    }
}
