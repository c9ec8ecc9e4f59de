//! The hash by which members compare their stores.

use criterion::{Criterion, criterion_group, criterion_main};
use etcd_snap::HashKvOptions;
use etcd_snap_benches::with_samples;

fn hashkv(criterion: &mut Criterion) {
    with_samples(criterion, "hashkv", |group, name, snapshot| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| etcd_snap::hash_kv(snapshot, &HashKvOptions::default()).unwrap());
        });
    });
}

criterion_group!(benches, hashkv);
criterion_main!(benches);
