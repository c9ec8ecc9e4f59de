//! The demo with real servers.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::cluster::{Cluster, ClusterState, HashKv, Member};
use etcd_snap_testdata::etcd::Version;

use super::etcd_snap::EtcdSnap;
use super::load::Load;
use super::narrator::Narrator;
use super::{Arguments, on_stage, prepare};

const MEMBERS: usize = 3;
const STEPS: usize = 9;

/// What `--keep` leaves behind.
const KEPT: [(&str, &str); 4] = [
    ("backup.db", "the snapshot; damaged.db is the damaged copy"),
    ("m1.etcd", "a restored data directory, and m2.etcd, m3.etcd"),
    ("m1.log", "what the server said, and m2.log, m3.log"),
    ("*.crt", "certificates, and their keys: *.key"),
];

/// What the cluster was like when the snapshot was taken.
struct Before {
    load: Load,
    state: ClusterState,
    hash: HashKv,
}

/// Written after the snapshot: not to be seen again.
const TOO_LATE: &str = "too-late";

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let version = arguments.etcd;
    let mut narrator = Narrator::new(STEPS, "");
    narrator.title(&format!(
        "A cluster of etcd {version} with mutual TLS is lost, and comes back"
    ))?;
    let program = narrator.step("Get etcd-snap and etcd", |narrator| {
        let program = prepare::etcd_snap(narrator, arguments.etcd_snap.as_deref())?;
        prepare::etcd(narrator, version)?;
        Ok(program)
    })?;
    on_stage(arguments, &mut narrator, &KEPT, |narrator, folder| {
        play(narrator, version, &EtcdSnap::new(&program, folder), folder)
    })
}

fn play(
    narrator: &mut Narrator,
    version: Version,
    etcd_snap: &EtcdSnap,
    folder: &Path,
) -> Result<()> {
    let mut cluster = narrator.step("Start three members", |narrator| {
        start(narrator, version, folder)
    })?;
    let before = narrator.step("Write keys", |narrator| write(narrator, &cluster))?;
    narrator.step("Save a snapshot", |narrator| {
        etcd_snap.save(narrator, cluster.endpoint(0))
    })?;
    narrator.step("Verify it", |narrator| {
        etcd_snap.show(narrator, &["verify", "backup.db"])?;
        holds_what_was_written(narrator, etcd_snap, &before)?;
        etcd_snap.refuses_damage(narrator)
    })?;
    narrator.step("Lose the cluster", |narrator| lose(narrator, &mut cluster))?;
    narrator.step("Restore all members", |narrator| {
        let of = |member: &Member| (member.name().to_owned(), member.peer_url().to_owned());
        let members: Vec<_> = cluster.members().iter().map(of).collect();
        etcd_snap.restore(narrator, &members)
    })?;
    narrator.step("Start them again", |narrator| {
        let busy = narrator.busy("starting");
        cluster.start_all()?;
        drop(busy);
        narrator.say("Three members are up, with the names, addresses and certificates of before.")
    })?;
    narrator.step("Compare", |narrator| compare(narrator, &cluster, &before))
}

fn start(narrator: &Narrator, version: Version, folder: &Path) -> Result<Cluster> {
    narrator.say(&format!(
        "Everything lies in {}, and the commands below are typed there.",
        folder.display()
    ))?;
    let busy = narrator.busy("starting");
    let cluster = Cluster::builder(version)
        .members(MEMBERS)
        .folder(folder)
        .start()?;
    drop(busy);
    for member in cluster.members() {
        narrator.say(&format!(
            "{} for clients {}",
            member.name(),
            member.client_url()
        ))?;
        narrator.say(&format!("   for members {}", member.peer_url()))?;
    }
    narrator.say("Both sides show certificates, which authority.crt vouches for.")?;
    Ok(cluster)
}

fn write(narrator: &Narrator, cluster: &Cluster) -> Result<Before> {
    let load = Load::write(cluster)?;
    narrator.say(&load.describe())?;
    let hash = cluster.agreed_hash_kv()?;
    let state = cluster.state()?;
    load.is_all_of(cluster, 0)?;
    load.has_its_lease(&state.leases)?;
    narrator.say(&format!(
        "Revision {}, HashKV {:08x} on every member.",
        state.revision, hash.hash
    ))?;
    Ok(Before { load, state, hash })
}

fn holds_what_was_written(
    narrator: &Narrator,
    etcd_snap: &EtcdSnap,
    before: &Before,
) -> Result<()> {
    let contents = etcd_snap.contents("backup.db", 0)?;
    let (revision, keys) = (before.state.revision, before.load.len());
    for (name, expected) in [
        ("revision", revision),
        ("live_keys", i64::try_from(keys)?),
        ("leases", 1),
        ("members", i64::try_from(MEMBERS)?),
    ] {
        ensure!(
            contents[name] == expected,
            "the snapshot has {name} {} instead of {expected}",
            contents[name]
        );
    }
    narrator.proven(&format!(
        "revision {revision}, {keys} keys and 1 lease are what was written"
    ))
}

fn lose(narrator: &Narrator, cluster: &mut Cluster) -> Result<()> {
    cluster.etcdctl(["put", TOO_LATE, "nobody will know"])?;
    narrator.say(&format!(
        "One more key, {TOO_LATE}, is written: it is not in the snapshot."
    ))?;
    for place in 0..MEMBERS {
        cluster.kill(place);
    }
    for member in cluster.members() {
        fs::remove_dir_all(member.data_dir())
            .with_context(|| format!("cannot remove {}", member.data_dir().display()))?;
        ensure!(
            TcpStream::connect(member.client_address()).is_err(),
            "member {} was killed and still listens",
            member.name()
        );
    }
    narrator.say("All servers are killed (SIGKILL), their data directories deleted.")
}

fn compare(narrator: &Narrator, cluster: &Cluster, before: &Before) -> Result<()> {
    let hash = cluster.agreed_hash_kv()?;
    ensure!(
        hash == before.hash,
        "HashKV was {:?} and is {hash:?}",
        before.hash
    );
    narrator.proven(&format!(
        "HashKV is {:08x} on every member, as before",
        hash.hash
    ))?;
    for place in 0..MEMBERS {
        before.load.is_all_of(cluster, place)?;
    }
    narrator.proven(&format!(
        "every member holds the {} keys with the values that were written, and no other: {TOO_LATE} is not there",
        before.load.len()
    ))?;
    let state = cluster.state()?;
    before.load.has_its_lease(&state.leases)?;
    ensure!(
        state == before.state,
        "revisions, versions or leases differ: {:?} was {:?}",
        state,
        before.state
    );
    narrator.proven("revisions, versions and the lease are those of before")?;
    cluster.etcdctl_at(0, ["put", "back", "again"])?;
    let read = cluster.etcdctl_at(MEMBERS - 1, ["get", "back", "--print-value-only"])?;
    ensure!(
        read.trim() == "again",
        "m3 does not see what m1 wrote: {read:?}"
    );
    narrator.proven("a new key, put at m1, is read from m3")
}
