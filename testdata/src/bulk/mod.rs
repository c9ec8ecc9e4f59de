//! Databases of any size, as a cluster that has lived for long leaves them, straight to the disk.
//!
//! What the [`database`](crate::database) builder does for small files in memory, this does for gigabytes: keys and values
//! like those of Kubernetes, written again and again, deleted and created again, compacted, on leases; pages that lie and are
//! filled as those of a database that was not written in one go; free pages with what stood in them before. Everything
//! follows from the options. What etcd has to say of the file comes out with it.
//!
//! ```no_run
//! use etcd_snap_testdata::bulk::{Bulk, Profile};
//!
//! # fn main() -> anyhow::Result<()> {
//! let facts = Bulk::new(Profile::Small, 2_000_000_000).write("small.db".as_ref())?;
//! assert!(facts.live_keys > 2_500_000);
//! # Ok(())
//! # }
//! ```

mod buckets;
mod file;
mod history;
mod kinds;
mod space;
mod tree;
mod values;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::database::Random;

/// Of what the same options make: raised when they make other bytes than before.
pub const VERSION: u32 = 1;

/// What keys and values are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Values of about 300 bytes: millions of keys in a gigabyte or two.
    Small,
    /// Values of 4 KiB, so that every leaf has more than one page.
    Large,
    /// Events, pods, secrets and so on, from a few hundred bytes to some hundred kilobytes.
    Kubernetes,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 3] = [Profile::Small, Profile::Large, Profile::Kubernetes];
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Profile::Small => "small",
            Profile::Large => "large",
            Profile::Kubernetes => "kubernetes",
        })
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Profile::ALL
            .into_iter()
            .find(|profile| profile.to_string() == text)
            .ok_or_else(|| format!("{text:?} is none of small, large and kubernetes"))
    }
}

/// What compactions there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// One has finished, and some changes came after it.
    Compacted,
    /// One was going on when the file was taken: half of the old records are still there. One before it has finished.
    Interrupted,
    /// There never was one: every record ever written is there.
    NeverCompacted,
}

/// What to write.
#[derive(Debug, Clone)]
pub struct Bulk {
    profile: Profile,
    size_bytes: u64,
    seed: u64,
    history: History,
    hole_bytes: u64,
}

impl Bulk {
    /// A snapshot of about so many bytes, with a finished compaction and its digest.
    #[must_use]
    pub fn new(profile: Profile, size_bytes: u64) -> Self {
        Self {
            profile,
            size_bytes,
            seed: 1,
            history: History::Compacted,
            hole_bytes: 0,
        }
    }

    /// Another seed, another database of the same kind.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What compactions there were.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// So many bytes more of free pages, of which the file takes no room on the disk: a database that was large once.
    #[must_use]
    pub fn hole(mut self, bytes: u64) -> Self {
        self.hole_bytes = bytes;
        self
    }

    /// Writes the file under this name once it is whole, and beside it until then. Takes some tens of megabytes of memory, and
    /// for each gigabyte of small values about twenty more, for the keys that were changed after the compaction.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<Facts> {
        file::write(self, path)
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Bytes of the file, the digest among them.
    pub size_bytes: u64,
    /// The SHA-256 that ends the file.
    pub digest: String,
    /// The hash of `etcdutl snapshot status`.
    pub status_hash: u32,
    /// Main revision of the last record.
    pub revision: i64,
    /// The greatest compaction that was scheduled, finished or not.
    pub compact_revision: Option<i64>,
    /// Records in all buckets: the "total keys" of etcd 3.4 and 3.5.
    pub total_records: u64,
    /// User keys that are not deleted: the "total keys" since etcd 3.6.
    pub live_keys: u64,
    /// Records of the bucket `lease`.
    pub leases: u64,
    /// Pages of the file, metas and free ones among them.
    pub pages: u64,
    /// Free ones.
    pub free_pages: u64,
    /// Leaves of the bucket `key`.
    pub leaves: u64,
    /// The part of these whose next leaf lies right behind them.
    pub next_share: f64,
    /// The part of these whose next leaf lies anywhere before them.
    pub behind_share: f64,
    /// How full these are, overflow pages included.
    pub leaf_fill: f64,
    /// A few keys, as clients see them.
    pub samples: Vec<Sample>,
}

/// A key as it is at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The user's key.
    pub key: String,
    /// What was put last, or `None` where it was deleted last.
    pub put: Option<SamplePut>,
}

/// What was put last under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplePut {
    /// Bytes of the value.
    pub value_bytes: usize,
    /// SHA-256 of the value.
    pub value_sha256: String,
    /// Revision that made this key, since it last did not exist.
    pub create_revision: i64,
    /// Revision of this change.
    pub mod_revision: i64,
    /// How many puts since it was made.
    pub version: i64,
    /// The lease it hangs on, or 0.
    pub lease: i64,
}

/// A number that follows from a seed, from what it is for and from a place.
fn seeded(seed: u64, purpose: u64, place: u64) -> u64 {
    let place = place.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    Random::new(seed.wrapping_add(purpose << 48) ^ place).number()
}
