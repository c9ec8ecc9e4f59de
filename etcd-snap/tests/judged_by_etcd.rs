//! Hand-made databases before etcd's own judges: what the library calls sound, bbolt's check and `snapshot status` have to take,
//! with the same numbers; what they refuse, the library has to refuse.

#[path = "properties/databases.rs"]
mod databases;
#[path = "properties/harm.rs"]
mod harm;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use etcd_snap::{Snapshot, Status, VerifyOptions, status, verify};
use etcd_snap_testdata::database::DatabaseBuilder;
use etcd_snap_testdata::etcd::{Binaries, Version};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// As many as `PROPTEST_CASES` asks for, or a sample that is the same in every run.
fn runner(sample: u32) -> (TestRunner, u32) {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = sample;
        config.rng_seed = RngSeed::Fixed(7);
    }
    let cases = config.cases;
    (TestRunner::new(config), cases)
}

fn draw<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> Result<S::Value> {
    let tree = strategy
        .new_tree(runner)
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(tree.current())
}

/// What `snapshot status` of this minor says.
fn theirs(etcd: &Binaries, file: &Path) -> Result<serde_json::Value> {
    let file = file.to_str().context("a name in UTF-8")?;
    let text = etcd.offline(["snapshot", "status", file, "-w", "json"])?;
    Ok(serde_json::from_str(&text)?)
}

fn assert_same_numbers(etcd: &Binaries, file: &Path, ours: &Status) -> Result<()> {
    let theirs = theirs(etcd, file)?;
    let keys = if etcd.version < Version::V3_6 {
        ours.total_records
    } else {
        ours.live_keys
    };
    for (field, ours) in [
        ("hash", u64::from(ours.hash)),
        ("revision", ours.revision.get() as u64),
        ("totalKey", keys),
        ("totalSize", ours.total_size_bytes),
    ] {
        ensure!(
            theirs[field].as_u64() == Some(ours),
            "{field}: {ours} here, {theirs} there"
        );
    }
    Ok(())
}

fn save(folder: &Path, name: &str, file: &[u8]) -> Result<std::path::PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, file)?;
    Ok(path)
}

#[test]
fn etcd_takes_the_databases_that_are_built_by_hand() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let all = Version::ALL
        .map(Binaries::find)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let (mut runner, cases) = runner(24);
    let strategy = databases::database();
    for case in 0..cases {
        let builder: DatabaseBuilder = draw(&mut runner, &strategy)?;
        let path = save(folder.path(), "db", &builder.build())?;
        let ours = status(&Snapshot::open(&path)?)?;
        let model = builder.model();
        assert_eq!(ours.hash, model.status_hash());
        for etcd in &all {
            let what = || format!("case {case} before etcd {}: {builder:?}", etcd.version);
            etcd.check_pages([&path]).with_context(what)?;
            assert_same_numbers(etcd, &path, &ours).with_context(what)?;
        }
    }
    Ok(())
}

/// bbolt runs round in circles for ever, or until its stack has taken all memory: it gets little of both.
fn objection_of_bbolt(etcd: &Binaries, file: &Path) -> Result<Option<String>> {
    const LIMITED: &str = "ulimit -v 4000000; exec timeout 20 \"$@\"";
    let output = Command::new("sh")
        .args(["-c", LIMITED, "sh"])
        .arg(&etcd.bbolt_check)
        .arg(file)
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).chars().take(500).collect();
    Ok((!output.status.success()).then_some(said))
}

#[test]
fn what_bbolt_objects_to_is_not_sound_here_and_what_is_sound_has_etcds_numbers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let newest = Binaries::find(Version::NEWEST)?;
    let (mut runner, cases) = runner(150);
    let strategy = (
        databases::database(),
        proptest::collection::vec(harm::harm(), 1..3),
    );
    let [mut objections, mut sound] = [0, 0];
    for case in 0..cases {
        let (builder, harms) = draw(&mut runner, &strategy)?;
        let mut image = builder.image();
        harms.iter().for_each(|harm| harm::apply(&mut image, harm));
        let file = image.unsealed();
        let path = save(folder.path(), "db", &file)?;
        let ours = Snapshot::from_source("the file", Arc::new(file)).and_then(|snapshot| {
            let report = verify(&snapshot, &VerifyOptions::default())?;
            if report.is_sound() {
                status(&snapshot).map(Some)
            } else {
                Ok(None)
            }
        });
        let what = || format!("case {case}, {harms:?}");
        match ours {
            Ok(Some(ours)) => {
                sound += 1;
                if let Some(objection) = objection_of_bbolt(&newest, &path)? {
                    panic!("{}: sound, but bbolt says: {objection}", what());
                }
                assert_same_numbers(&newest, &path, &ours).with_context(what)?;
            }
            Ok(None) | Err(_) => objections += 1,
        }
    }
    assert!(
        objections > 0 && sound > 0,
        "{objections} and {sound}: one sided"
    );
    Ok(())
}
