//! What a member needs beside the database: the WAL and the `.snap` file (formats.md 5.5, 5.6).
//!
//! Everything is made in memory, a few kilobytes; putting it into files is the caller's part.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod frame;
pub(crate) mod log;
mod messages;
#[cfg(any(fuzzing, test))]
pub(crate) mod repaired;
pub(crate) mod snap;
mod store_v2;
pub(crate) mod survey;
pub(crate) mod wal;

#[cfg(test)]
mod samples;

/// The term that a restored cluster begins in: one election is taken to have happened.
pub(crate) const FIRST_TERM: u64 = 1;
