//! The file format of bbolt (formats.md 1). Knows nothing of etcd.

mod page;

pub use page::PageId;
