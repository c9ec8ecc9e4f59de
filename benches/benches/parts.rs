//! What a look at a database is made of, each over the database where it is most of the work: pages, records, and the hashes,
//! beside the same hashes over bytes that need not be looked for.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use etcd_snap::{HashKvOptions, VerifyOptions};
use etcd_snap_benches::{sample, sample_of_pages, short_group};
use etcd_snap_testdata::bulk::Profile;
use sha2::{Digest as _, Sha256};

fn page_walk(criterion: &mut Criterion) {
    let mut group = short_group(criterion, "page walk");
    let sample = sample_of_pages();
    let pages = sample.snapshot.size_bytes() / u64::from(sample.snapshot.page_size_bytes());
    group.throughput(Throughput::Elements(pages));
    group.bench_function(&sample.name, |bencher| {
        bencher.iter(|| etcd_snap::status(&sample.snapshot).unwrap());
    });
    group.finish();
}

fn record_decode(criterion: &mut Criterion) {
    let mut group = short_group(criterion, "record decode");
    let sample = sample(Profile::Small);
    group.throughput(Throughput::Elements(sample.records));
    group.bench_function(&sample.name, |bencher| {
        bencher.iter(|| etcd_snap::status(&sample.snapshot).unwrap());
    });
    group.finish();
}

fn hashes(criterion: &mut Criterion) {
    let mut group = short_group(criterion, "hashes");
    let snapshot = &sample(Profile::Large).snapshot;
    group.throughput(Throughput::Bytes(snapshot.size_bytes()));
    group.bench_function("SHA-256, with everything else", |bencher| {
        bencher.iter(|| etcd_snap::verify(snapshot, &VerifyOptions::default()).unwrap());
    });
    group.bench_function("CRC-32C of status", |bencher| {
        bencher.iter(|| etcd_snap::status(snapshot).unwrap());
    });
    group.bench_function("HashKV", |bencher| {
        bencher.iter(|| etcd_snap::hash_kv(snapshot, &HashKvOptions::default()).unwrap());
    });
    let bytes = vec![7; snapshot.size_bytes() as usize];
    group.bench_function("limit: SHA-256", |bencher| {
        bencher.iter(|| Sha256::digest(&bytes));
    });
    group.bench_function("limit: CRC-32C", |bencher| {
        bencher.iter(|| crc32c::crc32c(&bytes));
    });
    group.finish();
}

criterion_group!(benches, page_walk, record_decode, hashes);
criterion_main!(benches);
