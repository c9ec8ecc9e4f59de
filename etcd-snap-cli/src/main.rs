//! The `etcd-snap` command.

fn main() {}
