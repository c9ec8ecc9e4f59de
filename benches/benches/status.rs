//! etcd's own numbers of a snapshot.

use criterion::{Criterion, criterion_group, criterion_main};
use etcd_snap_benches::with_samples;

fn status(criterion: &mut Criterion) {
    with_samples(criterion, "status", |group, name, snapshot| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| etcd_snap::status(snapshot).unwrap());
        });
    });
}

criterion_group!(benches, status);
criterion_main!(benches);
