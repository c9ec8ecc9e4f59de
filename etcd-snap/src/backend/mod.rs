//! etcd's ten buckets (formats.md 2). Gets byte slices, never a path.

mod revision;

pub use revision::Revision;
