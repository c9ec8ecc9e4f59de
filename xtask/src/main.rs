//! The chores of etcd-snap.

fn main() {}
