//! Our files in the hands of etcd's own tools, theirs in ours, and both results side by side.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{MemberTarget, NewCluster, PeerUrls, RestoreOptions, Snapshot, restore};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Workload};
use etcd_snap_testdata::database::Random;
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::{golden, sample};
use serde_json::Value;

use crate::{Room, client, number, restore_plan, saved};

const WAL: &str = "member/wal/0000000000000000-0000000000000000.wal";

#[test]
fn a_file_that_we_save_is_restored_by_etcds_own_tools_and_boots() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        let cluster = RealCluster::builder(version).start()?;
        cluster.write(&Workload::default())?;
        let (state, hash) = (cluster.state()?, cluster.agreed_hash_kv()?);
        let room = Room::new()?;
        saved(&client(&cluster, cluster.endpoint(0))?, &room)?;
        for newer in sample(version.and_newer(), 2) {
            let plan = RealCluster::builder(newer)
                .members(3)
                .token("theirs")
                .plan()?;
            plan.restore_with_etcd(&room.target(), &[])?;
            let restored = plan.start()?;
            ensure!(
                restored.state()? == state,
                "{version} on {newer}: the state differs"
            );
            let agreed = restored.agreed_hash_kv()?;
            ensure!(
                (agreed.hash, agreed.compact_revision) == (hash.hash, hash.compact_revision),
                "{version} on {newer}: {agreed:?}"
            );
        }
    }
    Ok(())
}

/// Ids, names, peer URLs and the cluster's id, as the running servers read them from the files.
#[test]
fn servers_read_the_membership_that_the_report_names() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        let plan = RealCluster::builder(version)
            .members(3)
            .token("named")
            .plan()?;
        let report = restore_plan(
            &plan,
            &golden::snapshot(Version::V3_4),
            &RestoreOptions::default(),
        )?;
        // The golden snapshots bring their own users along.
        let cluster = plan.with_restored_auth().start()?;
        let told: Value =
            serde_json::from_str(&cluster.etcdctl(["member", "list", "-w", "json"])?)?;
        let cluster_id = format!("{:x}", number(&told["header"]["cluster_id"])?);
        ensure!(
            cluster_id == report.cluster_id.to_string(),
            "{version}: {told}"
        );
        let mut told = told["members"]
            .as_array()
            .context("no members")?
            .iter()
            .map(|member| {
                let id = format!("{:x}", number(&member["ID"])?);
                let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
                let urls = member["peerURLs"].as_array().context("no URLs")?;
                Ok((
                    id,
                    text(&member["name"])?,
                    urls.iter().map(text).collect::<Result<Vec<_>>>()?,
                ))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut reported: Vec<_> = report
            .members
            .into_iter()
            .map(|member| (member.member_id.to_string(), member.name, member.peer_urls))
            .collect();
        told.sort();
        reported.sort();
        ensure!(
            told == reported,
            "{version}: {told:?}, and the report says {reported:?}"
        );
    }
    Ok(())
}

/// A cluster that nobody would found, from a seed.
struct Strange {
    initial_cluster: String,
    token: String,
    members: Vec<(String, String)>,
}

impl Strange {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 1 + random.below(9);
        let members: Vec<(String, String)> = (0..count)
            .map(|place| {
                let urls = 1 + random.below(3);
                let urls: Vec<_> = (0..urls)
                    .map(|url| Self::url(&mut random, place * 10 + url))
                    .collect();
                (Self::name(&mut random, place), urls.join(","))
            })
            .collect();
        let mut pieces: Vec<_> = members
            .iter()
            .flat_map(|(name, urls)| urls.split(',').map(move |url| format!("{name}={url}")))
            .collect();
        random.shuffle(&mut pieces);
        let tokens = [
            "etcd-cluster",
            "",
            "a token with blanks",
            "tökèn \u{1f512}",
            "\"<&>'\\",
        ];
        Strange {
            initial_cluster: pieces.join(","),
            token: tokens[random.below(tokens.len())].to_owned(),
            members,
        }
    }

    fn name(random: &mut Random, place: usize) -> String {
        let kinds = [
            "m",
            "node-",
            "etcd.zone-1.",
            "Größe ",
            "<b>&amp;",
            "\"quoted\\",
            "\u{2028}line\u{7f}",
            "日本",
        ];
        format!("{}{place}", kinds[random.below(kinds.len())])
    }

    fn url(random: &mut Random, place: usize) -> String {
        let scheme = ["http", "https", "HTTP", "hTTps"][random.below(4)];
        let host = match random.below(5) {
            0 => format!("10.0.{place}.{}", random.below(256)),
            1 => format!("[fd00::{place:x}:{:x}]", random.below(1 << 16)),
            2 => format!("Etcd-{place}.Example.COM"),
            3 => format!("etcd_{place}"),
            _ => "localhost".to_owned(),
        };
        format!("{scheme}://{host}:{}", 1 + place + 100 * random.below(600))
    }
}

struct Side<'a> {
    strange: &'a Strange,
    snapshot: &'a Path,
    folder: &'a Path,
}

impl Side<'_> {
    fn ours(&self) -> Result<Vec<PathBuf>> {
        let cluster = NewCluster::parse(&self.strange.initial_cluster, &self.strange.token)?;
        let directories: Vec<_> = (0..self.strange.members.len())
            .map(|place| self.folder.join(format!("ours-{place}")))
            .collect();
        let targets = self
            .strange
            .members
            .iter()
            .zip(&directories)
            .map(|((name, urls), directory)| {
                Ok(MemberTarget::new(name, directory)
                    .with_advertised_peer_urls(PeerUrls::parse(urls)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let snapshot = Snapshot::open(self.snapshot)?;
        restore(&snapshot, &cluster, &targets, &RestoreOptions::default())?;
        Ok(directories)
    }

    fn theirs(
        &self,
        version: Version,
        place: usize,
        snapshot: &Path,
        more: &[&str],
    ) -> Result<PathBuf> {
        let (name, urls) = &self.strange.members[place];
        let directory = self.folder.join(format!("{version}-{}", more.len()));
        let text = |path: &Path| path.to_str().map(str::to_owned).context("not UTF-8");
        let mut arguments = vec!["snapshot".to_owned(), "restore".to_owned(), text(snapshot)?];
        arguments.extend(["--data-dir".to_owned(), text(&directory)?]);
        arguments.extend([
            format!("--name={name}"),
            format!("--initial-cluster={}", self.strange.initial_cluster),
            format!("--initial-cluster-token={}", self.strange.token),
            format!("--initial-advertise-peer-urls={urls}"),
        ]);
        arguments.extend(more.iter().map(|more| (*more).to_owned()));
        Binaries::find(version)?.offline(&arguments)?;
        Ok(directory)
    }
}

#[test]
fn members_of_strange_clusters_get_the_files_that_etcdutl_gives_them() -> Result<()> {
    for seed in sample(0..60, 4) {
        let strange = Strange::new(seed);
        for version in [Version::V3_5, Version::V3_6] {
            same_files(&strange, version, seed).with_context(|| {
                format!(
                    "seed {seed}, etcdutl {version}, {}",
                    strange.initial_cluster
                )
            })?;
        }
    }
    Ok(())
}

fn same_files(strange: &Strange, version: Version, seed: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sources = golden::snapshots();
    let side = Side {
        strange,
        snapshot: &sources[seed as usize % sources.len()],
        folder: folder.path(),
    };
    let ours = side.ours()?;
    // Each member's WAL differs in its first record alone, so one of them stands for all.
    let place = seed as usize % ours.len();
    let ours = &ours[place];
    let theirs = side.theirs(version, place, side.snapshot, &[])?;
    same_bytes(&ours.join(WAL), &theirs.join(WAL)).context("the WAL")?;
    if version == Version::V3_5 {
        let members = strange.members.len();
        let snap = format!("member/snap/0000000000000001-{members:016x}.snap");
        same_bytes(&ours.join(&snap), &theirs.join(&snap)).context("the .snap")?;
    }

    // What etcdutl writes into a database, it writes into ours too, and finds it there: all buckets stay as they are,
    // byte for byte, so members, consistent index and term are what it would have written itself.
    let database = ours.join("member/snap/db");
    let twice = side.theirs(version, place, &database, &["--skip-hash-check"])?;
    let hash = |database: &Path| -> Result<Value> {
        let path = database.to_str().context("not UTF-8")?;
        let told = Binaries::find(version)?.offline(["snapshot", "status", path, "-w", "json"])?;
        Ok(serde_json::from_str::<Value>(&told)?["hash"].clone())
    };
    let (once, twice) = (hash(&database)?, hash(&twice.join("member/snap/db"))?);
    ensure!(
        once.is_u64() && once == twice,
        "the buckets: {once} and {twice}"
    );
    Ok(())
}

/// Files are the same up to their last byte.
fn same_bytes(ours: &Path, theirs: &Path) -> Result<()> {
    let open = |path: &Path| File::open(path).with_context(|| path.display().to_string());
    let (our_file, mut their_file) = (open(ours)?, open(theirs)?);
    let (our_size, their_size) = (our_file.metadata()?.len(), their_file.metadata()?.len());
    ensure!(
        our_size == their_size,
        "{our_size} bytes and not {their_size}"
    );
    let (mut our_piece, mut their_piece) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    loop {
        let read = their_file.read(&mut their_piece)?;
        if read == 0 {
            return Ok(());
        }
        our_file.read_exact_at(&mut our_piece[..read], at)?;
        ensure!(
            our_piece[..read] == their_piece[..read],
            "they differ between {at} and {}",
            at + read as u64
        );
        at += read as u64;
    }
}

/// The files that tools meet: some they take as they are, some only with `--skip-hash-check`, and so do we.
#[test]
fn we_restore_what_etcds_own_tools_restore_and_refuse_what_they_refuse() -> Result<()> {
    let cases = Version::ALL.into_iter().flat_map(|by| {
        golden::snapshots()
            .into_iter()
            .map(move |snapshot| (by, snapshot))
    });
    for (by, snapshot) in sample(cases, 4) {
        let folder = tempfile::tempdir()?;
        let bytes = fs::read(&snapshot)?;
        let (database, digest) = bytes.split_at(bytes.len() - 32);
        let mut wrong = bytes.clone();
        *wrong.last_mut().context("not empty")? ^= 1;
        let with_tail = [database, &[0; 1 << 20]].concat();
        for (name, file, without_skip) in [
            ("whole", bytes.as_slice(), true),
            ("without digest", database, false),
            ("with another digest", &wrong, false),
            ("raw, with a preallocated tail", &with_tail, false),
            (
                "cut in the digest",
                &bytes[..database.len() + digest.len() / 2],
                false,
            ),
        ] {
            let path = folder.path().join("file.db");
            fs::write(&path, file)?;
            for skip in [false, true] {
                let context = || format!("{by}, {}, {name}, skip: {skip}", snapshot.display());
                let strange = Strange::new(1);
                let work = tempfile::tempdir()?;
                let side = Side {
                    strange: &strange,
                    snapshot: &path,
                    folder: work.path(),
                };
                let more: &[&str] = if skip { &["--skip-hash-check"] } else { &[] };
                let theirs = side.theirs(by, 0, &path, more);
                let cluster = NewCluster::parse(&strange.initial_cluster, &strange.token)?;
                let target = MemberTarget::new(&strange.members[0].0, work.path().join("ours"));
                let options = RestoreOptions::default().with_skip_hash_check(skip);
                let ours = restore(&Snapshot::open(&path)?, &cluster, &[target], &options);
                ensure!(
                    theirs.is_ok() == (skip || without_skip),
                    "{}: {theirs:?}",
                    context()
                );
                ensure!(
                    ours.is_ok() == theirs.is_ok(),
                    "{}: {ours:?}, {theirs:?}",
                    context()
                );
                ensure!(
                    ours.is_ok() == work.path().join("ours").exists(),
                    "{}",
                    context()
                );
            }
        }
    }
    Ok(())
}
