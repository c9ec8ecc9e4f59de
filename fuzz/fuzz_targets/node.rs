//! See `src/node.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(etcd_snap_fuzz::node::run(bytes)));
