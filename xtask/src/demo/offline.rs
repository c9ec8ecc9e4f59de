//! The demo without etcd: a stand-in serves the snapshot of a real one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::fake::{Running, Server};
use etcd_snap_testdata::golden;
use serde_json::Value;

use super::etcd_snap::EtcdSnap;
use super::narrator::Narrator;
use super::{Arguments, on_stage, prepare};

const STEPS: usize = 6;
const BEFORE_EVERY_LINE: &str = "no real etcd|";

/// Whose snapshot is served.
const VERSION: Version = Version::V3_6;

/// Verify's exit code for a database without digest, which is what a data directory has.
const NO_DIGEST: i32 = 8;

/// What `--keep` leaves behind.
const KEPT: [(&str, &str); 3] = [
    ("backup.db", "the snapshot; damaged.db is the damaged copy"),
    ("m1.etcd", "a restored data directory, and m2.etcd, m3.etcd"),
    ("*.crt", "certificates, and their keys: *.key"),
];

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut narrator = Narrator::new(STEPS, BEFORE_EVERY_LINE);
    narrator.title("A snapshot is saved, verified and restored, offline")?;
    let program = narrator.step("Get etcd-snap", |narrator| {
        prepare::etcd_snap(narrator, arguments.etcd_snap.as_deref())
    })?;
    on_stage(arguments, &mut narrator, &KEPT, |narrator, folder| {
        play(narrator, &EtcdSnap::new(&program, folder), folder)
    })
}

fn play(narrator: &mut Narrator, etcd_snap: &EtcdSnap, folder: &Path) -> Result<()> {
    let server = narrator.step("Serve a snapshot", |narrator| serve(narrator, folder))?;
    narrator.step("Save it", |narrator| {
        etcd_snap.save(narrator, &server.endpoint())?;
        ensure!(
            read(folder, "backup.db")? == fs::read(golden::snapshot(VERSION))?,
            "backup.db is not the snapshot that was served"
        );
        narrator.proven("it is the file that was served, byte for byte")
    })?;
    drop(server);
    narrator.step("Verify it", |narrator| {
        etcd_snap.show(narrator, &["verify", "backup.db"])?;
        let (revision, keys, leases) = told_by_etcd()?;
        let contents = etcd_snap.contents("backup.db", 0)?;
        has(&contents, revision, keys, leases)?;
        narrator.proven(&format!(
            "revision {revision}, {keys} keys and {leases} leases are what etcd said when the file was made"
        ))?;
        etcd_snap.refuses_damage(narrator)
    })?;
    narrator.step("Restore three members", |narrator| {
        let member = |name: &str| (name.to_owned(), format!("https://{name}:2380"));
        etcd_snap.restore(narrator, &["m1", "m2", "m3"].map(member))
    })?;
    narrator.step("Verify their databases", |narrator| {
        verify_members(narrator, etcd_snap, folder)
    })
}

fn serve(narrator: &Narrator, folder: &Path) -> Result<Running> {
    narrator.say(&format!(
        "Everything lies in {}, and the commands below are typed there.",
        folder.display()
    ))?;
    let authority = Authority::new("etcd-snap demo authority")?;
    authority.write(folder, "authority")?;
    authority
        .issue(&Leaf::client("client"))?
        .write(folder, "client")?;
    let server = Server::serving(golden::snapshot(VERSION))?
        .with_version("none, a stand-in")
        .with_tls(&authority.issue(&Leaf::server())?, Some(&authority))?
        .start()?;
    narrator.say(&format!(
        "A stand-in serves testdata/snapshots/{VERSION}.db, which a real etcd made once, at {}",
        server.endpoint()
    ))?;
    narrator.say("Both sides show certificates, which authority.crt vouches for.")?;
    Ok(server)
}

/// Revision, keys and leases, as the server said them whose snapshot it is.
fn told_by_etcd() -> Result<(i64, usize, usize)> {
    let facts = golden::facts(VERSION)?;
    let keys = fs::read_to_string(golden::keys_file(&golden::snapshot(VERSION)))?;
    Ok((
        facts["revision"].as_i64().unwrap_or_default(),
        keys.lines().count(),
        facts["leases"].as_array().map_or(0, Vec::len),
    ))
}

fn has(contents: &Value, revision: i64, keys: usize, leases: usize) -> Result<()> {
    ensure!(
        contents["revision"] == revision
            && contents["live_keys"] == keys
            && contents["leases"] == leases,
        "instead of revision {revision}, {keys} keys, {leases} leases there is {contents}"
    );
    Ok(())
}

fn verify_members(narrator: &Narrator, etcd_snap: &EtcdSnap, folder: &Path) -> Result<()> {
    let (revision, keys, leases) = told_by_etcd()?;
    let saved = etcd_snap.contents("backup.db", 0)?;
    let first = read(folder, "m1.etcd/member/snap/db")?;
    for name in ["m1", "m2", "m3"] {
        let file = format!("{name}.etcd/member/snap/db");
        let contents = etcd_snap.contents(&file, NO_DIGEST)?;
        has(&contents, revision, keys, leases)?;
        ensure!(
            contents["members"] == 3,
            "{file} knows other members: {contents}"
        );
        for same in [
            "compact_revision",
            "cluster_version",
            "storage_version",
            "auth_enabled",
        ] {
            ensure!(
                contents[same] == saved[same],
                "{same} was {} and is {} in {file}",
                saved[same],
                contents[same]
            );
        }
        ensure!(
            read(folder, &file)? == first,
            "{file} differs from that of m1"
        );
        narrator.say(&format!("{file} is sound"))?;
    }
    narrator.proven(&format!(
        "each holds revision {revision}, {keys} keys, {leases} leases and the three new members"
    ))
}

fn read(folder: &Path, file: &str) -> Result<Vec<u8>> {
    fs::read(folder.join(file)).with_context(|| format!("cannot read {file}"))
}
