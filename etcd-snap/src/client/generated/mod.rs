//! The messages and stubs of etcd's API that we use.
//!
//! Made by `cargo xtask codegen` from the files in `etcd-snap/proto`; change those instead.
// Not every message and method has a use on each side.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::all)]

pub mod etcdserverpb;
pub mod mvccpb;
