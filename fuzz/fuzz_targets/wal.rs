//! See `etcd-snap/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etcd_snap::fuzzing::wal(bytes));
