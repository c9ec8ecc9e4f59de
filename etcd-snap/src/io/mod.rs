//! The one way to read and the one way to write.

mod read_at;

pub use read_at::ReadAt;
