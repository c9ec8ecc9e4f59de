//! A data directory on the disk, with every sync.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use etcd_snap::{MemberTarget, NewCluster, RestoreOptions};
use etcd_snap_benches::with_samples;

fn restore(criterion: &mut Criterion) {
    let cluster = NewCluster::parse("m1=http://10.0.0.1:2380", "bench").unwrap();
    // Beside the build, not in a temporary folder, which may be in memory.
    let parent = etcd_snap_testdata::target_folder();
    with_samples(criterion, "restore", |group, name, snapshot| {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || tempfile::tempdir_in(parent.canonicalize().unwrap()).unwrap(),
                |folder| {
                    let targets = [MemberTarget::new("m1", folder.path().join("m1.etcd"))];
                    let options = RestoreOptions::default();
                    etcd_snap::restore(snapshot, &cluster, &targets, &options).unwrap()
                },
                BatchSize::PerIteration,
            );
        });
    });
}

criterion_group!(benches, restore);
criterion_main!(benches);
