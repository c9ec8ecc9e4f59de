//! `cargo xtask fixtures`: the small golden files in testdata, made anew from real servers.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::cluster::{Bulk, Cluster, Security};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::golden;
use serde_json::{Map, Value, json};

/// Make the golden snapshots and restored heads in testdata anew, from real servers
///
/// Identities, lease ids and password hashes differ each time: run it only to change what the files hold, and commit all of
/// them together.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// The members of the worked example in formats.md 5.2, and what they are given.
const THREE: [(&str, &str); 3] = [
    ("m1", "http://10.0.0.1:2380"),
    ("m2", "http://10.0.0.2:2380"),
    ("m3", "http://10.0.0.3:2380"),
];

pub(crate) fn run(_: &Arguments) -> Result<()> {
    let all = crate::etcd::get(&Version::ALL)?;
    for version in Version::ALL {
        println!("snapshot of {version}");
        make_snapshot(version, &golden::snapshot(version))?;
    }
    println!("snapshot of 3.6 with an alarm");
    make_snapshot_with_alarm(Version::V3_6, &golden::snapshot_with_alarm())?;
    for snapshot in golden::snapshots() {
        write_json(
            &golden::status_file(&snapshot),
            &status_of_each_minor(&snapshot, &all)?,
        )?;
    }
    for binaries in &all {
        println!("restored by {}", binaries.version);
        make_restored(binaries)?;
    }
    Ok(())
}

/// A small database with everything in it: a tree of several pages, a value larger than a page, deletes, transactions, a
/// `lease` bucket too large to be inline, inline `auth*` buckets, a compaction.
fn make_snapshot(version: Version, path: &Path) -> Result<()> {
    let cluster = Cluster::builder(version)
        .security(Security::Plain)
        .start()?;
    let many = Bulk {
        prefix: "plain/".to_owned(),
        keys: 200,
        value_bytes: 100,
        puts_per_transaction: 1,
    };
    cluster.bulk(&many)?;
    cluster.bulk(&Bulk {
        prefix: "txn/".to_owned(),
        keys: 30,
        puts_per_transaction: 10,
        ..many
    })?;
    cluster.etcdctl(["del", "--prefix", "plain/0000001"])?;
    let middle = cluster.revision(0)?;
    cluster.etcdctl_with_input(
        ["txn"],
        b"\nput mixed/a 1\nput mixed/b 2\ndel txn/00000003\nput mixed/c 3\n\n\n",
    )?;
    cluster.etcdctl(["del", "mixed/a"])?;
    cluster.etcdctl(["put", "mixed/a", "again"])?;
    cluster.etcdctl(["put", "mixed/b", "gone at once"])?;
    cluster.etcdctl(["del", "mixed/b"])?;
    cluster.etcdctl(["put", "empty", ""])?;
    cluster.etcdctl_with_input(
        ["put", "larger than a page"],
        "0123456789abcdef".repeat(375).as_bytes(),
    )?;
    for number in 0..40 {
        let granted = cluster.etcdctl(["lease", "grant", "86400"])?;
        let lease = granted
            .split_whitespace()
            .nth(1)
            .context("etcdctl did not name the lease")?
            .to_owned();
        if number < 2 {
            cluster.etcdctl([
                "put",
                &format!("leased/{number}"),
                "value",
                &format!("--lease={lease}"),
            ])?;
        }
    }
    add_users(&cluster)?;
    cluster.etcdctl(["compact", &middle.to_string(), "--physical"])?;
    cluster.etcdctl(["put", "last", "written"])?;
    save(&cluster, path)?;
    // 3.4 counts the compacted revision itself as gone.
    let at_compaction = (version > Version::V3_4).then_some(middle);
    let hashes = at_compaction
        .into_iter()
        .chain([middle + 1, middle + 4, 0])
        .map(|revision| {
            let answer = cluster.hash_kv(0, revision)?;
            let revision = if revision == 0 { answer.revision } else { revision };
            Ok(json!({ "revision": revision, "hash": answer.hash, "compact_revision": answer.compact_revision }))
        })
        .collect::<Result<Vec<_>>>()?;
    let state = cluster.state()?;
    let facts = json!({
        "revision": state.revision,
        "compact_revision": middle,
        "hash_kv": hashes,
        "members": serde_json::from_str::<Value>(&cluster.etcdctl(["member", "list", "-w", "json"])?)?,
        "users_and_roles": state.users_and_roles,
        "leases": state.leases,
    });
    fs::write(golden::keys_file(path), state.keys.join("\n") + "\n")?;
    write_json(&golden::facts_file(path), &facts)
}

/// Users and roles that were enforced for a moment: `authEnabled` is there and false.
fn add_users(cluster: &Cluster) -> Result<()> {
    cluster.etcdctl(["user", "add", "root:root-password"])?;
    cluster.etcdctl(["user", "grant-role", "root", "root"])?;
    cluster.etcdctl(["role", "add", "reader"])?;
    cluster.etcdctl([
        "role",
        "grant-permission",
        "reader",
        "--prefix=true",
        "read",
        "plain/",
    ])?;
    cluster.etcdctl(["user", "add", "guest:guest-password"])?;
    cluster.etcdctl(["user", "grant-role", "guest", "reader"])?;
    cluster.etcdctl(["auth", "enable"])?;
    cluster.etcdctl(["auth", "disable", "--user=root:root-password"])?;
    Ok(())
}

/// A database that its own server found too large: the alarm NOSPACE is in the file.
fn make_snapshot_with_alarm(version: Version, path: &Path) -> Result<()> {
    let cluster = Cluster::builder(version)
        .security(Security::Plain)
        .argument("--quota-backend-bytes=65536")
        .start()?;
    let refused = (0..60).any(|number| {
        cluster
            .try_etcdctl(["put", &format!("key/{number}"), &"x".repeat(1000)])
            .is_err()
    });
    ensure!(refused, "the server took more than its quota");
    ensure!(
        cluster.etcdctl(["alarm", "list"])?.contains("NOSPACE"),
        "the server raised no alarm"
    );
    save(&cluster, path)
}

fn save(cluster: &Cluster, path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_file(path)?;
    }
    cluster.wait_for_storage_version()?;
    cluster.save_with_etcdctl(0, path)?;
    cluster.binaries().check_pages([path])?;
    let size = fs::metadata(path)?.len();
    println!("  {size} bytes");
    ensure!(
        size < 256 << 10,
        "{} has {size} bytes, too many to be committed",
        path.display()
    );
    Ok(())
}

/// `{"3.4": {...}, ...}`: what the tool of each minor prints for `snapshot status -w json`.
fn status_of_each_minor(snapshot: &Path, all: &[Binaries]) -> Result<Value> {
    let mut answers = Map::new();
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("snapshot.db");
    fs::copy(snapshot, &copy)?;
    for binaries in all {
        let arguments = ["snapshot", "status", "-w", "json"].map(OsStr::new);
        let text = binaries.offline(arguments.into_iter().chain([copy.as_os_str()]))?;
        answers.insert(binaries.version.to_string(), serde_json::from_str(&text)?);
    }
    Ok(Value::Object(answers))
}

/// The beginning of the WAL and the `.snap` that one minor's tool writes, for the default inputs and for three members.
fn make_restored(binaries: &Binaries) -> Result<()> {
    let three = THREE.map(|(name, url)| format!("{name}={url}")).join(",");
    restore_one(binaries, "default", &[])?;
    for (name, url) in THREE {
        let arguments = [
            "--name",
            name,
            "--initial-cluster",
            &three,
            "--initial-advertise-peer-urls",
            url,
        ];
        restore_one(binaries, name, &arguments)?;
    }
    Ok(())
}

fn restore_one(binaries: &Binaries, member: &str, arguments: &[&str]) -> Result<()> {
    let version = binaries.version;
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let (snapshot, data) = (golden::snapshot(version), data_dir.as_os_str());
    let fixed = [
        OsStr::new("snapshot"),
        OsStr::new("restore"),
        snapshot.as_os_str(),
        OsStr::new("--data-dir"),
        data,
    ];
    binaries.offline(fixed.into_iter().chain(arguments.iter().map(OsStr::new)))?;

    let wal = fs::read(only_file(&data_dir.join("member/wal"), "wal")?)?;
    let (head, rest) = wal
        .split_at_checked(golden::WAL_HEAD_BYTES)
        .context("the WAL is short")?;
    ensure!(wal.len() == 64_000_000, "the WAL has {} bytes", wal.len());
    ensure!(
        rest.iter().all(|byte| *byte == 0),
        "the WAL goes on after its head"
    );
    let to = golden::restored_wal_head(version, member);
    fs::create_dir_all(to.parent().context("a folder of its own")?)?;
    fs::write(to, head)?;
    fs::copy(
        only_file(&data_dir.join("member/snap"), "snap")?,
        golden::restored_snap(version, member),
    )?;
    Ok(())
}

fn only_file(folder: &Path, extension: &str) -> Result<PathBuf> {
    let paths = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    let mut matching = paths
        .into_iter()
        .filter(|path| path.extension() == Some(OsStr::new(extension)));
    matching
        .next()
        .with_context(|| format!("no .{extension} in {}", folder.display()))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, serde_json::to_string_pretty(value)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}
