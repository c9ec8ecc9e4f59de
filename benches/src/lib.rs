//! What the benches have in common: databases that are the same in every run, and settings that keep a run short.
//!
//! `cargo bench -p etcd-snap-benches` shows what a change of the code does. What etcd-snap takes beside other programs,
//! with files of real servers and of gigabytes, is the matter of `cargo xtask bench`.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::WallTime};
use etcd_snap::Snapshot;
use etcd_snap_testdata::bulk::{Bulk, Profile};
use etcd_snap_testdata::database::DatabaseBuilder;

/// Bytes of a sample, about.
const SAMPLE_BYTES: u64 = 24_000_000;

/// A database in memory.
#[derive(Debug)]
pub struct Sample {
    /// What it is called.
    pub name: String,
    /// It.
    pub snapshot: Snapshot,
    /// Its records, in all buckets.
    pub records: u64,
}

/// One of a profile: many small records, where the time goes into records; few large ones, where it goes into bytes; and
/// what Kubernetes has.
///
/// # Panics
/// When it cannot be written and opened.
#[must_use]
pub fn sample(profile: Profile) -> Sample {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("db");
    let facts = Bulk::new(profile, SAMPLE_BYTES)
        .write(&path)
        .expect("room for a database");
    let bytes = fs::read(path).expect("what was written");
    Sample {
        name: profile.to_string(),
        snapshot: open(profile.to_string(), bytes),
        records: facts.total_records,
    }
}

/// As many pages as can be had for the records: two of them in each, leaf or branch.
///
/// # Panics
/// When it cannot be opened.
#[must_use]
pub fn sample_of_pages() -> Sample {
    let name = "two records a page".to_owned();
    let builder = (0..6_000_u32).fold(DatabaseBuilder::new(4096), |builder, key| {
        builder.put(format!("key-{key}"), "value")
    });
    let builder = builder.elements_per_page(2).scattered(3);
    Sample {
        name: name.clone(),
        snapshot: open(name, builder.build()),
        records: builder.model().total_records(),
    }
}

fn open(name: String, bytes: Vec<u8>) -> Snapshot {
    Snapshot::from_source(name, Arc::new(bytes)).expect("a sound database")
}

/// Runs `each` over a sample of every profile, with settings that take some seconds together.
pub fn with_samples(
    criterion: &mut Criterion,
    verb: &str,
    mut each: impl FnMut(&mut BenchmarkGroup<'_, WallTime>, &str, &Snapshot),
) {
    let mut group = short_group(criterion, verb);
    for profile in Profile::ALL {
        let Sample { name, snapshot, .. } = sample(profile);
        group.throughput(Throughput::Bytes(snapshot.size_bytes()));
        each(&mut group, &name, &snapshot);
    }
    group.finish();
}

/// A group with such settings.
pub fn short_group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    group
}

#[cfg(test)]
mod tests {
    use etcd_snap::VerifyOptions;
    use etcd_snap_testdata::bulk::Profile;

    use super::{Sample, sample, sample_of_pages};

    #[test]
    fn the_samples_are_sound_and_of_some_megabytes() {
        let all = Profile::ALL.map(sample).into_iter();
        for Sample {
            name,
            snapshot,
            records,
        } in all.chain([sample_of_pages()])
        {
            let report = etcd_snap::verify(&snapshot, &VerifyOptions::default()).unwrap();
            let proof = report.into_proven().unwrap();
            assert_eq!(proof.contents.total_records, records);
            let bytes = snapshot.size_bytes();
            assert!(
                (8 << 20..32 << 20).contains(&bytes),
                "{name}: {bytes} bytes"
            );
        }
    }
}
