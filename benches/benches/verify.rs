//! Digest, pages and every record.

use criterion::{Criterion, criterion_group, criterion_main};
use etcd_snap::VerifyOptions;
use etcd_snap_benches::with_samples;

fn verify(criterion: &mut Criterion) {
    with_samples(criterion, "verify", |group, name, snapshot| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let report = etcd_snap::verify(snapshot, &VerifyOptions::default());
                report.and_then(|report| report.into_proven()).unwrap()
            });
        });
    });
}

criterion_group!(benches, verify);
criterion_main!(benches);
