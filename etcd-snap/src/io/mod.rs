//! The one way to read and the one way to write.

mod change;
mod clone;
#[cfg(test)]
pub(crate) mod faulty;
mod flush;
mod read_at;
#[cfg(test)]
pub(crate) mod recorder;
mod staged_names;
mod staging;
mod storage;
mod target;
mod whole_file;

pub(crate) use change::{Change, Place, Plan, Step, write_file};
pub(crate) use clone::clone_from;
pub(crate) use flush::Flusher;
pub use read_at::ReadAt;
pub(crate) use staged_names::{
    directory_of, fresh_directories, fresh_directory_name, is_staged_name, remove_dead,
    remove_dead_trees,
};
pub(crate) use staging::{Replace, StagedFile, StagedTree};
pub(crate) use storage::{Disk, Lock, NewFile, Ownership, Storage};
pub(crate) use target::{look_at, stage_file};
pub(crate) use whole_file::write_whole;
