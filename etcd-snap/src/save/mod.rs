//! Chunks from a server become a file that is a backup.

mod chunk;

pub use chunk::Chunk;
