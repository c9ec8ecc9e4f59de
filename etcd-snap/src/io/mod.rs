//! The one way to read and the one way to write.

mod clone;
#[cfg(test)]
pub(crate) mod faulty;
mod flush;
mod read_at;
mod staging;
mod storage;

pub(crate) use clone::clone_from;
pub(crate) use flush::Flusher;
pub use read_at::ReadAt;
pub(crate) use staging::{
    Replace, StagedFile, StagedTree, directory_of, is_staged_name, remove_dead,
};
pub(crate) use storage::{Disk, Lock, NewFile, Storage};
