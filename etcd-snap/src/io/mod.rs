//! The one way to read and the one way to write.

#[cfg(test)]
pub(crate) mod faulty;
mod read_at;
mod staging;
mod storage;

pub use read_at::ReadAt;
pub(crate) use staging::{Replace, StagedFile, StagedTree, directory_of};
pub(crate) use storage::{Disk, NewFile, Storage};
