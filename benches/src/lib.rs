//! What the benches have in common: databases that are the same in every run, and settings that keep a run short.
//!
//! `cargo bench -p etcd-snap-benches` shows what a change of the code does. What etcd-snap takes beside other programs,
//! with files of real servers, is the matter of `cargo xtask bench`.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::WallTime};
use etcd_snap::Snapshot;
use etcd_snap_testdata::database::{DatabaseBuilder, FreeContent, Random};

/// Many small records, where the time goes into records, and few large ones, where it goes into bytes. In memory, by name.
///
/// # Panics
/// When one cannot be opened.
#[must_use]
pub fn samples() -> [(&'static str, Snapshot); 2] {
    [
        sample("values of 300 bytes", 20_000, 300),
        sample("values of 4 KiB", 1_500, 4096),
    ]
}

/// Runs `each` over all samples, with settings that take some seconds together.
pub fn with_samples(
    criterion: &mut Criterion,
    verb: &str,
    mut each: impl FnMut(&mut BenchmarkGroup<'_, WallTime>, &str, &Snapshot),
) {
    let mut group = criterion.benchmark_group(verb);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    for (name, snapshot) in samples() {
        group.throughput(Throughput::Bytes(snapshot.size_bytes()));
        each(&mut group, name, &snapshot);
    }
    group.finish();
}

/// Written, a quarter written again, compacted, and with free pages in between.
fn sample(name: &'static str, keys: usize, value_bytes: usize) -> (&'static str, Snapshot) {
    const SEED: u64 = 3;
    let mut random = Random::new(SEED);
    let mut put = |builder: DatabaseBuilder, key: usize| {
        let mut value = vec![0; value_bytes];
        random.fill(&mut value);
        let (namespace, name) = (key % 50, key);
        builder.put(
            format!("/registry/pods/namespace-{namespace}/pod-{name}"),
            value,
        )
    };
    let mut builder = (0..keys).fold(DatabaseBuilder::new(4096), &mut put);
    builder = (0..keys / 4).fold(builder, &mut put);
    let revision = builder.revision();
    builder = builder.compact(revision);
    builder = (0..keys / 16).fold(builder, &mut put);
    let bytes = builder
        .free_pages(500, FreeContent::Stale)
        .scattered(SEED)
        .build();
    let snapshot = Snapshot::from_source(name, Arc::new(bytes)).expect("a sound database");
    (name, snapshot)
}

#[cfg(test)]
mod tests {
    use etcd_snap::VerifyOptions;

    use super::samples;

    #[test]
    fn the_samples_are_sound_and_of_some_megabytes() {
        for (name, snapshot) in samples() {
            let report = etcd_snap::verify(&snapshot, &VerifyOptions::default()).unwrap();
            let proof = report.into_proven().unwrap();
            assert!(proof.contents.compact_revision.is_some());
            let bytes = snapshot.size_bytes();
            assert!(
                (8 << 20..32 << 20).contains(&bytes),
                "{name}: {bytes} bytes"
            );
        }
    }
}
