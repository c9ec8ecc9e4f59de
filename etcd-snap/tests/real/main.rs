//! Saving from real servers, and what real servers and tools make of the files and of what is restored from them.

mod access;
mod alone;
mod amends;
mod api;
mod attest;
mod boots;
mod broken;
mod bump;
mod choice;
#[path = "../properties/databases.rs"]
mod databases;
mod defrag;
mod edits;
mod guarded;
mod hash_kv;
mod identity;
mod interop;
mod live;
mod meanwhile;
mod migrate;
mod pages;
mod report;
mod seen;
mod streams;
mod unreachable;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    Cluster, Contents, Error, MemberTarget, NewCluster, PeerUrls, RestoreOptions, RestoreReport,
    SaveOptions, SaveReport, Snapshot, Status, Tls, TlsBuilder, VerifyOptions, save_blocking,
    verify,
};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Plan, Security};
use etcd_snap_testdata::etcd::{Binaries, Version};
use tempfile::TempDir;

/// A client of that cluster through this endpoint, with all that its security takes.
fn client(cluster: &RealCluster, endpoint: &str) -> Result<Cluster> {
    let client = Cluster::new([endpoint])?;
    Ok(match cluster.security() {
        Security::Plain => client,
        Security::ServerTls => client.with_tls(trusting(cluster).build()?),
        Security::MutualTls => client.with_tls(mutual(cluster).build()?),
    })
}

/// Trusts the cluster's authority and shows nothing.
fn trusting(cluster: &RealCluster) -> TlsBuilder {
    Tls::builder().ca_file(&cluster.tls().authority)
}

/// Trusts the cluster's authority and shows the client certificate that the servers trust.
fn mutual(cluster: &RealCluster) -> TlsBuilder {
    let files = &cluster.tls().client;
    trusting(cluster).identity_files(&files.certificate, &files.key)
}

/// A folder that a save works in: nothing but the target may ever be left in it.
struct Room(TempDir);

impl Room {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("backup.db")
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = fs::read_dir(self.0.path())?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
}

/// Saves, and makes sure that there is one file and that it is proven.
fn saved(client: &Cluster, room: &Room) -> Result<SaveReport> {
    let saved = save_blocking(client, room.target(), &SaveOptions::default())?;
    ensure!(room.names()? == ["backup.db"], "{:?}", room.names()?);
    let report = verify(&Snapshot::open(room.target())?, &VerifyOptions::default())?;
    ensure!(report.problems.is_empty(), "{:?}", report.problems);
    let proven = report.into_proven()?;
    ensure!(contents(&saved)? == &proven.contents);
    Ok(saved)
}

/// What was found in the file that was saved.
fn contents(saved: &SaveReport) -> Result<&Contents> {
    saved.contents.as_ref().context("a file is walked")
}

/// Saves and expects to fail: the error, after making sure that nothing was left.
fn failure(client: &Cluster, options: &SaveOptions) -> Result<Error> {
    let room = Room::new()?;
    let error = save_blocking(client, room.target(), options)
        .err()
        .context("it did not fail")?;
    ensure!(room.names()?.is_empty(), "{:?}: {error}", room.names()?);
    Ok(error)
}

/// The whole chain, as a person reads it.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Restores all members that the plan has.
fn restore_plan(plan: &Plan, snapshot: &Path, options: &RestoreOptions) -> Result<RestoreReport> {
    let cluster = NewCluster::parse(&plan.initial_cluster(), plan.token())?;
    let targets = plan
        .members()
        .iter()
        .map(|member| {
            Ok(MemberTarget::new(&member.name, &member.data_dir)
                .with_advertised_peer_urls(PeerUrls::parse(&member.peer_url)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let snapshot = Snapshot::open(snapshot)?;
    Ok(etcd_snap::restore(&snapshot, &cluster, &targets, options)?)
}

/// What makes servers compare their data with that of the others: before they serve, every second, and after compactions.
fn corruption_checks(version: Version) -> &'static [&'static str] {
    match version {
        Version::V3_4 => &[
            "--experimental-initial-corrupt-check",
            "--experimental-corrupt-check-time=1s",
        ],
        Version::V3_5 => &[
            "--experimental-initial-corrupt-check",
            "--experimental-corrupt-check-time=1s",
            "--experimental-compact-hash-check-enabled",
            "--experimental-compact-hash-check-time=1s",
        ],
        Version::V3_6 | Version::V3_7 => &[
            "--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true",
            "--corrupt-check-time=1s",
            "--compact-hash-check-time=1s",
        ],
    }
}

/// What the tools of every minor say of a file: the hash is the same everywhere, the rest has changed its meaning.
fn agrees_with_status(own: &Status, file: &Path) -> Result<()> {
    let path = file.to_str().context("a path in UTF-8")?;
    for judge in Version::ALL {
        let told = Binaries::find(judge)?.offline(["snapshot", "status", path, "-w", "json"])?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        let expected = [
            ("hash", u64::from(own.hash)),
            ("revision", own.revision.get() as u64),
            ("totalSize", own.total_size_bytes),
            (
                "totalKey",
                if judge < Version::V3_6 {
                    own.total_records
                } else {
                    own.live_keys
                },
            ),
        ];
        for (field, ours) in expected {
            ensure!(
                number(&told[field])? == ours,
                "{judge}: {told}, and our {field} is {ours}"
            );
        }
        if judge >= Version::V3_6 {
            let told = told["version"]
                .as_str()
                .filter(|version| !version.is_empty());
            ensure!(told == own.storage_version.as_deref(), "{judge}: {told:?}");
        }
    }
    Ok(())
}

/// A number that some minors write as a JSON string.
fn number(value: &serde_json::Value) -> Result<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .with_context(|| format!("no number: {value}"))
}
