//! What a fake says of its keys and of its cluster.

use tonic::{Code, Status};

/// An answer to HashKV.
#[derive(Debug, Clone)]
pub struct HashAnswer {
    /// The revision that was asked for; 0 stands for the current one.
    pub revision: i64,
    /// What is said.
    pub hash: Hash,
}

/// What is said to HashKV.
#[derive(Debug, Clone)]
pub enum Hash {
    /// This hash, with this compact revision.
    Is(u32, i64),
    /// As above, and the header says that it comes from this member.
    Of(u64, u32, i64),
    /// An error.
    Error(Code, String),
    /// Nothing, ever.
    Silence,
}

impl HashAnswer {
    /// This hash at this revision, as compacted there; -1 is never.
    #[must_use]
    pub fn at(revision: i64, hash: u32, compact_revision: i64) -> Self {
        Self {
            revision,
            hash: Hash::Is(hash, compact_revision),
        }
    }

    /// This error at this revision.
    #[must_use]
    pub fn error(revision: i64, code: Code, message: &str) -> Self {
        Self {
            revision,
            hash: Hash::Error(code, message.to_owned()),
        }
    }
}

/// A member in the list of members.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub id: u64,
    /// Its name; empty while it has not started.
    pub name: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
}

/// What is said of a revision that nothing was said about.
pub(super) fn in_the_future() -> Status {
    Status::out_of_range("etcdserver: mvcc: required revision is a future revision")
}
