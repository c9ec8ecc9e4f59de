//! See `src/initial_cluster.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etcd_snap_fuzz::initial_cluster::run(bytes));
