//! Random databases are restored, and what the edit made of them is held against a model, etcd's own check of the pages, and
//! real servers.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{
    Bump, ErrorKind, MemberTarget, NewCluster, RestoreOptions, RestoreReport, Severity, Snapshot,
    VerifyOptions, restore, status, verify,
};
use etcd_snap_testdata::cluster::Cluster as RealCluster;
use etcd_snap_testdata::database::{
    DatabaseBuilder, FreeContent, Freelist, Inline, Member, Model, Random, Shape,
};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::sample;
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::databases;

/// One restore: of which database, to which members, how far ahead.
pub(crate) struct Case {
    pub(crate) builder: DatabaseBuilder,
    members: usize,
    bump: Option<u64>,
    squeeze: bool,
    drop_alarms: bool,
    drop_leases: bool,
}

impl Case {
    pub(crate) fn drawn(seed: u64) -> Result<Self> {
        let mut runner = TestRunner::new(Config {
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..Config::default()
        });
        let tree = databases::database()
            .new_tree(&mut runner)
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        let mut random = Random::new(seed);
        Ok(Self {
            builder: varied(tree.current(), &mut random),
            members: 1 + random.below(5),
            bump: [None, Some(1), Some(1_000_000_000)][random.below(3)],
            squeeze: random.below(3) == 0,
            drop_alarms: random.below(3) == 0,
            drop_leases: random.below(3) == 0,
        })
    }

    /// Nobody but this writer keeps a bucket of megabytes inline, and the edit does not read such ones.
    pub(crate) fn with_honest_inline_buckets(mut self) -> Self {
        self.builder = self.builder.inline(Inline::AsBbolt);
        self
    }

    /// Alarms keep a server from answering, and a restore keeps alarms. And bbolt reads branches of one child and passes them
    /// in its check, but gives up when it has to merge one with its siblings, of which it makes sure that there are some.
    pub(crate) fn bootable(self) -> Self {
        let mut case = self.with_honest_inline_buckets();
        case.builder = case
            .builder
            .taller(0)
            .bucket("alarm")
            .remove_bucket("alarm")
            .bucket("alarm");
        case
    }

    fn cluster(&self) -> Result<NewCluster> {
        let members: Vec<_> = (0..self.members)
            .map(|n| format!("m{n}=http://10.0.0.{n}:2380"))
            .collect();
        Ok(NewCluster::parse(&members.join(","), "edited")?)
    }

    fn options(&self) -> RestoreOptions {
        let options = RestoreOptions::default()
            .with_skip_hash_check(self.builder.build().len() % 512 != 32)
            .with_squeeze(self.squeeze)
            .with_drop_alarms(self.drop_alarms)
            .with_drop_leases(self.drop_leases);
        match self.bump {
            None => options,
            Some(by) => options.with_bump(Bump::By(by)).with_mark_compacted(true),
        }
    }

    /// The source, with what a restore to these members changes in it (formats.md 5.3, 5.8).
    fn expected(&self, cluster: &NewCluster) -> Model {
        let mut voters: Vec<_> = cluster.members().iter().map(|m| m.id().get()).collect();
        voters.sort_unstable();
        let voters: Vec<_> = voters.iter().map(ToString::to_string).collect();
        let before = self.builder.model();
        let mut builder = self.builder.clone();
        if self.drop_leases {
            builder = builder.without_leases(self.bump.is_none());
        }
        if self.drop_alarms {
            builder = builder
                .bucket("alarm")
                .remove_bucket("alarm")
                .bucket("alarm");
        }
        builder = builder
            .bucket("members")
            .remove_bucket("members")
            .bucket("members")
            .bucket("members_removed")
            .remove_bucket("members_removed")
            .bucket("members_removed")
            .record(
                "meta",
                "consistent_index",
                (self.members as u64).to_be_bytes(),
            )
            .record("meta", "term", 1_u64.to_be_bytes())
            .record(
                "meta",
                "confState",
                format!("{{\"voters\":[{}],\"auto_leave\":false}}", voters.join(",")),
            );
        for member in cluster.members() {
            builder = builder.member(&Member {
                id: member.id().get(),
                peer_urls: member.peer_urls().iter().map(ToString::to_string).collect(),
                name: member.name().to_owned(),
                ..Member::default()
            });
        }
        if let Some(by) = self.bump {
            // The builder bumps from the revision that a server has, which is 1 in an empty store and not 0.
            let last = before.revision().max(before.compact_revision());
            let ahead = last + by as i64 - builder.revision();
            builder = builder.bump(ahead);
        }
        if builder.model().value("cluster", b"downgrade").is_some() {
            builder = builder.remove("cluster", "downgrade");
        }
        builder.model()
    }

    fn restore(&self, folder: &Path) -> Result<(PathBuf, RestoreReport)> {
        let cluster = self.cluster()?;
        let source =
            Snapshot::from_source("the source", std::sync::Arc::new(self.builder.build()))?;
        let data_dir = folder.join("data");
        let target = MemberTarget::new("m0", &data_dir);
        let report = restore(&source, &cluster, &[target], &self.options())?;
        Ok((data_dir, report))
    }

    fn meets_the_model(&self, database: &Path, report: &RestoreReport) -> Result<()> {
        let expected = self.expected(&self.cluster()?);
        let built = Snapshot::open(database)?;
        let verified = verify(&built, &VerifyOptions::default())?;
        let worst = verified.worst();
        ensure!(
            worst < Some(Severity::Suspicious),
            "{:?}",
            verified.problems
        );
        ensure!(verified.contents == report.contents);
        let status = status(&built)?;
        ensure!(
            status.revision.get() == expected.revision(),
            "revision {} instead of {}",
            status.revision,
            expected.revision()
        );
        ensure!(
            (status.total_records, status.live_keys)
                == (expected.total_records(), expected.live_keys()),
            "{status:?}"
        );
        ensure!(status.hash == expected.status_hash(), "the contents differ");
        if self.squeeze || self.drop_leases {
            ensure!(verified.contents.free_pages == 0, "{:?}", verified.contents);
        }
        let before = self.builder.model();
        let dropped = &report.dropped;
        let gone = |asked: bool, bucket: &str| if asked { before.records(bucket) } else { 0 };
        ensure!(
            (dropped.alarms.len(), dropped.leases as usize)
                == (
                    gone(self.drop_alarms, "alarm"),
                    gone(self.drop_leases, "lease")
                ),
            "{dropped:?}"
        );
        ensure!(report.found.leases.count as usize == before.records("lease"));
        ensure!(dropped.downgrade == before.value("cluster", b"downgrade").is_some());
        Ok(())
    }
}

/// What the usual random databases seldom have, and the edit has to find its way through.
fn varied(builder: DatabaseBuilder, random: &mut Random) -> DatabaseBuilder {
    let builder = match random.below(6) {
        // `members`, `members_removed` and `meta` as trees.
        0 => (1..200).fold(builder, |builder, n| {
            builder
                .member(&Member::new(n << 40, &format!("member-{n}"), 2380))
                .removed_member(n << 41)
                .record("meta", format!("unknown-{n}"), vec![b'x'; 60])
        }),
        // The key bucket is nothing but one leaf of one large value.
        1 => builder.put("large", vec![b'l'; 400_000]),
        // Many levels of branches.
        2 => (0..600)
            .fold(builder, |builder, n| builder.put(format!("many-{n}"), "v"))
            .elements_per_page(2 + random.below(3)),
        _ => builder,
    };
    let builder = match random.below(5) {
        0 => builder.record(
            "cluster",
            "downgrade",
            "{\"target-version\":\"3.5.0\",\"enabled\":true}",
        ),
        // A root bucket whose elements take more than a page, or a branch.
        1 => (0..40).fold(builder, |builder, n| {
            builder.bucket(format!("bucket-{n}-{}", "of-another-program".repeat(5)))
        }),
        _ => builder,
    };
    match random.below(6) {
        // More free pages than the header of a freelist can count.
        0 if builder.page_size() <= 1024 => builder
            .freelist(Freelist::Persisted)
            .free_pages(0x1_0003, FreeContent::Stale),
        _ => builder,
    }
}

fn restored(seed: u64, folder: &Path) -> Result<PathBuf> {
    let mut case = Case::drawn(seed)?;
    let result = match case.restore(folder) {
        Err(e) if is_unsupported(&e) => {
            case = case.with_honest_inline_buckets();
            case.restore(folder)
        }
        result => result,
    };
    let (data_dir, report) = result?;
    let database = data_dir.join("member/snap/db");
    case.meets_the_model(&database, &report)?;
    let kept = folder.join(format!("{seed}.db"));
    std::fs::rename(&database, &kept)?;
    std::fs::remove_dir_all(&data_dir)?;
    Ok(kept)
}

fn is_unsupported(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<etcd_snap::Error>()
        .is_some_and(|e| e.kind() == ErrorKind::Unsupported)
}

#[test]
fn what_a_restore_makes_of_random_databases_is_the_models_and_passes_bbolts_check() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut databases = Vec::new();
    for seed in sample(0..2000, 40) {
        databases.push(restored(seed, folder.path()).with_context(|| format!("seed {seed}"))?);
    }
    for version in [Version::V3_5, Version::NEWEST] {
        Binaries::find(version)?
            .check_pages(&databases)
            .with_context(|| format!("the check of etcd {version}"))?;
    }
    Ok(())
}

fn boots(seed: u64, version: Version) -> Result<()> {
    let case = Case {
        members: 1 + 2 * (seed as usize % 2),
        ..Case::drawn(seed)?.bootable()
    };
    let plan = RealCluster::builder(version)
        .members(case.members)
        .token("edited")
        .plan()?;
    let source = plan.folder().join("source.db");
    std::fs::write(&source, case.builder.build())?;
    let report = crate::restore_plan(&plan, &source, &case.options())?;
    let databases: Vec<_> = plan
        .members()
        .iter()
        .map(|member| member.data_dir.join("member/snap/db"))
        .collect();
    let checker = Binaries::find(version.max(Version::V3_5))?;

    let mut cluster = plan.start()?;
    // The placeholder of a bump has no name that a range could give.
    let (_, keys) = cluster.keys_at(0)?;
    let left = match case.drop_leases {
        true => case.builder.clone().without_leases(false),
        false => case.builder.clone(),
    };
    let named = left.model().live_keys() - u64::from(has_placeholder(&left));
    ensure!(
        keys.len() as u64 == named,
        "{} keys instead of {named}",
        keys.len()
    );
    let before = cluster.revision(0)?;
    ensure!(
        before >= report.contents.revision.get(),
        "revision {before} instead of {}",
        report.contents.revision
    );
    cluster.etcdctl(["put", "after", "the edit"])?;
    ensure!(cluster.revision(0)? == before + 1);
    cluster.agreed_hash_kv()?;
    for member in 0..case.members {
        cluster.restart(member)?;
    }
    for member in 0..case.members {
        cluster.stop(member)?;
    }
    checker
        .check_pages(&databases)
        .context("after the servers ran")
}

/// The source was bumped itself.
fn has_placeholder(builder: &DatabaseBuilder) -> bool {
    let with_one_more = builder.clone().bump(1).model().live_keys();
    with_one_more == builder.model().live_keys()
}

#[test]
fn real_servers_start_from_what_a_restore_makes_of_random_databases() -> Result<()> {
    let cases = (0..40).flat_map(|seed| [(seed, Version::V3_4), (seed, Version::NEWEST)]);
    for (seed, version) in sample(cases, 4) {
        boots(seed, version).with_context(|| format!("seed {seed}, etcd {version}"))?;
    }
    Ok(())
}

#[test]
fn a_store_without_a_single_write_is_restored_with_and_without_a_bump() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut databases = Vec::new();
    for (n, shape) in [Shape::Stream, Shape::Member].into_iter().enumerate() {
        for (m, bump) in [None, Some(1), Some(1000)].into_iter().enumerate() {
            for (k, inline) in [Inline::AsBbolt, Inline::Never].into_iter().enumerate() {
                let case = Case {
                    builder: DatabaseBuilder::new(4096).shape(shape).inline(inline),
                    members: 1,
                    bump,
                    squeeze: k == 1,
                    drop_alarms: m == 1,
                    drop_leases: n == 1,
                };
                let (data_dir, report) = case.restore(folder.path())?;
                let database = data_dir.join("member/snap/db");
                case.meets_the_model(&database, &report)?;
                let kept = folder.path().join(format!("{n}{m}{k}.db"));
                std::fs::rename(&database, &kept)?;
                std::fs::remove_dir_all(&data_dir)?;
                databases.push(kept);
            }
        }
    }
    Binaries::find(Version::NEWEST)?.check_pages(&databases)
}
