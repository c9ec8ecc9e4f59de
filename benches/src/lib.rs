//! Benchmarks of etcd-snap.
