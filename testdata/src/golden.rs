//! The small committed files: snapshots of real servers and what etcd's own tools make of them. `cargo xtask fixtures` makes
//! them.
//!
//! `snapshots/<minor>.db` holds, for each minor: 200 plain keys, transactions of several puts (and of puts with a delete),
//! deleted and rewritten keys, an empty value and one larger than a page, 40 leases (the `lease` bucket is not inline), the
//! users `root` and `guest` and a role (inline; auth was on for a moment), and a finished compaction.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::etcd::Version;

/// How much of each restored WAL is kept. The other bytes of its 64 000 000 are zero.
pub const WAL_HEAD_BYTES: usize = 1024;

/// The snapshot of one minor, as `etcdctl snapshot save` wrote it.
pub fn snapshot(version: Version) -> PathBuf {
    crate::folder().join(format!("snapshots/{version}.db"))
}

/// A snapshot of 3.6 that holds the alarm NOSPACE.
pub fn snapshot_with_alarm() -> PathBuf {
    crate::folder().join("snapshots/3.6-alarm.db")
}

/// All of them.
pub fn snapshots() -> Vec<PathBuf> {
    Version::ALL
        .map(snapshot)
        .into_iter()
        .chain([snapshot_with_alarm()])
        .collect()
}

/// Beside a snapshot: what its server said of it. `revision`, `compact_revision`, `hash_kv` at several revisions,
/// `members`, `users_and_roles`, `leases`. Not for the one with the alarm.
pub fn facts_file(snapshot: &Path) -> PathBuf {
    snapshot.with_extension("facts.json")
}

/// The contents of [`facts_file`].
pub fn facts(version: Version) -> Result<Value> {
    read_json(&facts_file(&snapshot(version)))
}

/// Beside a snapshot: one JSON object a line for every key that clients saw, in key order: `key` (base64), `create_revision`,
/// `mod_revision`, `version`, `lease` (hexadecimal), `value_bytes`, `value_sha256`. Not for the one with the alarm.
pub fn keys_file(snapshot: &Path) -> PathBuf {
    snapshot.with_extension("keys.jsonl")
}

/// Beside a snapshot: what each minor's `snapshot status -w json` prints, by minor.
pub fn status_file(snapshot: &Path) -> PathBuf {
    snapshot.with_extension("status.json")
}

/// What the tool of minor `by` says of a snapshot: `hash`, `revision`, `totalKey`, `totalSize`, and from 3.6 on `version`.
pub fn status(snapshot: &Path, by: Version) -> Result<Value> {
    let all = read_json(&status_file(snapshot))?;
    all.get(by.minor())
        .cloned()
        .with_context(|| format!("no status of {} by {by}", snapshot.display()))
}

/// The first [`WAL_HEAD_BYTES`] of the WAL that the tool of one minor wrote for a member: `default` for all default inputs,
/// `m1`, `m2`, `m3` for the three members of formats.md 5.2 with the default token.
pub fn restored_wal_head(version: Version, member: &str) -> PathBuf {
    crate::folder().join(format!("restored/{version}/{member}.wal"))
}

/// The `.snap` of the same member.
pub fn restored_snap(version: Version, member: &str) -> PathBuf {
    crate::folder().join(format!("restored/{version}/{member}.snap"))
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}
