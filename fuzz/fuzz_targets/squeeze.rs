//! See `src/squeeze.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etcd_snap_fuzz::squeeze::run(bytes));
