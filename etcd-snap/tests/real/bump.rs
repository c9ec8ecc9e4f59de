//! A bumped store beside the one that etcd's own tool makes: the same records in every bucket, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{Bump, RestoreOptions};
use etcd_snap_testdata::cluster::Cluster;
use etcd_snap_testdata::database::Image;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::{golden, sample};

use crate::restore_plan;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// All records of all buckets of a database file.
fn buckets(database: &Path) -> Result<BTreeMap<String, Records>> {
    let bytes = fs::read(database)?;
    let image = Image::new(bytes, 4096);
    let root = image.page(image.current().root);
    let names: Vec<_> = image
        .places(root)
        .map(|place| String::from_utf8(image.key(place).to_vec()))
        .collect::<Result<_, _>>()?;
    ensure!(names.len() >= 10, "{names:?}");
    Ok(names
        .into_iter()
        .map(|name| {
            let records = image
                .leaves(&name)
                .into_iter()
                .flat_map(|leaf| image.places(leaf))
                .map(|place| (image.key(place).to_vec(), image.value(place).to_vec()))
                .collect();
            (name, records)
        })
        .collect())
}

#[test]
fn a_bump_writes_the_records_that_etcds_own_tool_writes() -> Result<()> {
    let judges = [Version::V3_5, Version::V3_6, Version::V3_7];
    let bumps = [1, 1000, 1_000_000_000, 1 << 61];
    let cases = golden::snapshots().into_iter().flat_map(|snapshot| {
        judges.into_iter().flat_map(move |judge| {
            let snapshot = snapshot.clone();
            bumps.map(move |by| (snapshot.clone(), judge, by))
        })
    });
    for (snapshot, judge, by) in sample(cases, 6) {
        let context = || format!("{}, etcdutl {judge}, {by}", snapshot.display());
        let members = 1 + 2 * (by as usize % 2);
        let plan = Cluster::builder(judge).members(members).plan()?;
        let options = RestoreOptions::default()
            .with_bump(Bump::By(by))
            .with_mark_compacted(true);
        let report = restore_plan(&plan, &snapshot, &options).with_context(context)?;
        let ours = |directory: &Path| directory.with_extension("ours");
        for member in plan.members() {
            fs::rename(&member.data_dir, ours(&member.data_dir))?;
        }
        let bump = format!("--bump-revision={by}");
        plan.restore_with_etcd(&snapshot, &[&bump, "--mark-compacted"])?;

        for member in plan.members() {
            let read = |directory: &Path| buckets(&directory.join("member/snap/db"));
            let (mut our, mut their) = (read(&ours(&member.data_dir))?, read(&member.data_dir)?);
            // Theirs keeps the voters of the old cluster there, which no server reads.
            let voters = our
                .get_mut("meta")
                .and_then(|meta| meta.remove(&b"confState"[..]));
            ensure!(voters.is_some(), "{}", context());
            their
                .get_mut("meta")
                .and_then(|meta| meta.remove(&b"confState"[..]));
            for bucket in ["key", "meta"] {
                ensure!(our[bucket] == their[bucket], "{}: {bucket}", context());
            }
            ensure!(our == their, "{}: another bucket", context());

            let revision = report.contents.revision.get();
            ensure!(revision == report.snapshot_revision.get() + by as i64);
            let mut key = revision.to_be_bytes().to_vec();
            key.push(b'_');
            key.extend([0; 8]);
            ensure!(
                our["key"].get(&key).is_some_and(Vec::is_empty),
                "{}",
                context()
            );
            ensure!(
                our["meta"].get(&b"scheduledCompactRev"[..]) == Some(&key),
                "{}",
                context()
            );
        }
    }
    Ok(())
}
