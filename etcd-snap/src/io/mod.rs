//! The one way to read and the one way to write.

#[cfg(test)]
pub(crate) mod faulty;
mod flush;
mod read_at;
mod staging;
mod storage;

pub(crate) use flush::Flusher;
pub use read_at::ReadAt;
#[cfg(feature = "stream")]
pub(crate) use staging::directory_of;
pub(crate) use staging::{Replace, StagedFile, StagedTree, is_staged_name};
pub(crate) use storage::{Disk, NewFile, Storage};
