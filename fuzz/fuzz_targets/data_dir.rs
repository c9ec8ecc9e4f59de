//! See `etcd-snap-node/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etcd_snap_node::fuzzing::data_dir(bytes));
