//! Which revisions clients may have seen, beyond those of the snapshot.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data_dir;
use crate::io::{Disk, Lock, Storage};
use crate::raft::survey;
use crate::{ClusterId, Error, ErrorKind, Result, Revision, Snapshot, fast_status};

/// A revision that clients may have seen, and where that is known from: what [`Bump::Automatic`](crate::Bump::Automatic) goes
/// beyond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Seen {
    /// The highest revision that there can have been.
    pub revision: Revision,
    /// Where it is known from.
    pub from: SeenIn,
    /// What could not be looked at, as sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where a revision is known from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SeenIn {
    /// A member that lives says so.
    Endpoint {
        /// The endpoint.
        endpoint: String,
        /// The cluster of the member.
        cluster_id: ClusterId,
    },
    /// The data directory of a member.
    DataDir {
        /// The directory.
        #[serde(serialize_with = "crate::path_text::serialize")]
        data_dir: PathBuf,
        /// The revision of the database in it.
        database_revision: Revision,
        /// Entries of the log that are not in the database yet: each can be a write.
        log_entries: u64,
    },
    /// The caller says so.
    Told,
}

impl Seen {
    /// A revision that the caller knows of.
    #[must_use]
    pub fn told(revision: Revision) -> Self {
        Self {
            revision,
            from: SeenIn::Told,
            notes: Vec::new(),
        }
    }

    /// What the clients of a stopped member can have seen: the revision of its database, and one more for each entry of its log
    /// that is not in the database yet. Of a member that was killed there can be thousands.
    ///
    /// Nothing is changed. The lock of the database is held meanwhile, where it can be had.
    ///
    /// # Errors
    /// `NotFound` where there is no database; `Busy` where a server, or another run, has the lock; `Damaged` where the pages are
    /// that have to be read. A log that cannot be read is no error, but a [note](Self::notes).
    pub fn of_data_dir(data_dir: impl AsRef<Path>) -> Result<Self> {
        let data_dir = data_dir.as_ref();
        Self::of_member(data_dir, &data_dir::wal(data_dir))
    }

    /// The same of a member whose WAL has a directory of its own.
    ///
    /// # Errors
    /// As [`of_data_dir`](Self::of_data_dir).
    pub fn of_member(data_dir: &Path, wal_dir: &Path) -> Result<Self> {
        let database = data_dir::database(data_dir);
        // A lock follows no symbolic link.
        let real = fs::canonicalize(&database).unwrap_or_else(|_| database.clone());
        let _held = match Disk.lock(&real) {
            Ok(Lock::Busy) => {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!(
                        "{} is in use: stop the etcd that runs in {}, or ask it itself",
                        database.display(),
                        data_dir.display()
                    ),
                )
                .with_path(&database));
            }
            Ok(Lock::Held(file) | Lock::HeldHere(file) | Lock::Unsupported(file)) => Some(file),
            // Of what may only be read there is no lock to be had, and no server runs in it.
            Err(_) => None,
        };
        in_member(data_dir, &data_dir.join("member"), wal_dir)
    }

    /// The highest revision among all endpoints of a cluster. One that cannot be asked is named in the [notes](Self::notes).
    ///
    /// Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// The first endpoint's, where not one answers.
    #[cfg(feature = "client")]
    pub async fn of_cluster(cluster: &crate::Cluster) -> Result<Self> {
        use crate::client::{reach, together};

        let shared = std::sync::Arc::new(cluster.clone());
        let asked = cluster.endpoints().iter().map(|endpoint| {
            let (cluster, endpoint) = (std::sync::Arc::clone(&shared), endpoint.clone());
            async move { reach(&cluster, &endpoint).await }
        });
        let mut highest: Option<Self> = None;
        let mut failed = Vec::new();
        for answer in together(asked).await? {
            match answer {
                Ok((member, status)) => {
                    let seen = Self {
                        revision: status.revision,
                        from: SeenIn::Endpoint {
                            endpoint: member.endpoint().to_owned(),
                            cluster_id: status.cluster_id,
                        },
                        notes: Vec::new(),
                    };
                    if highest
                        .as_ref()
                        .is_none_or(|highest| highest.revision < seen.revision)
                    {
                        highest = Some(seen);
                    }
                }
                Err(e) => failed.push(e),
            }
        }
        match highest {
            Some(mut highest) => {
                highest.notes.extend(failed.iter().map(Error::chain));
                Ok(highest)
            }
            None => Err(failed
                .into_iter()
                .next()
                .unwrap_or_else(|| Error::invalid("there is no endpoint to ask"))),
        }
    }
}

/// What was seen in a data directory: by the member in it, and by those that earlier restores have put aside there. Damage in it
/// does not stop a restore, which is perhaps why there is one: it is a note.
pub(super) fn in_the_way(data_dir: &Path, wal_dir: &Path) -> Vec<Result<Seen, String>> {
    let member = data_dir.join("member");
    let mut found = vec![(data_dir.to_owned(), member, wal_dir.to_owned())];
    for name in Disk.list(data_dir).unwrap_or_default() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"member.old-") || bytes.starts_with(b"member.undone-") {
            let aside = data_dir.join(name);
            found.push((aside.clone(), aside.clone(), aside.join("wal")));
        }
    }
    found.sort();
    found
        .into_iter()
        .filter(|(_, member, _)| database_in(member).exists())
        .map(|(shown, member, wal_dir)| {
            in_member(&shown, &member, &wal_dir).map_err(|e| {
                format!(
                    "what clients have seen of {} cannot be told: {}",
                    shown.display(),
                    e.chain()
                )
            })
        })
        .collect()
}

fn database_in(member: &Path) -> PathBuf {
    member.join("snap").join("db")
}

/// Looks into the directories of a member whose lock somebody holds, or nobody can have. `data_dir` is shown.
fn in_member(data_dir: &Path, member: &Path, wal_dir: &Path) -> Result<Seen> {
    let snapshot = Snapshot::open(database_in(member))?;
    let status = fast_status(&snapshot)?;
    let database_revision = status
        .revision
        .max(status.compact_revision.unwrap_or_default());
    let applied = status.consistent_index.unwrap_or_default();
    let mut notes = Vec::new();
    let log_entries = match entries_behind(wal_dir, applied) {
        Ok(entries) => entries,
        Err(e) => {
            notes.push(format!(
                "what {} wrote last is not counted, because its log cannot be read: {}",
                data_dir.display(),
                e.chain()
            ));
            0
        }
    };
    let entries = i64::try_from(log_entries).unwrap_or(i64::MAX);
    Ok(Seen {
        revision: Revision::new(database_revision.get().saturating_add(entries)),
        from: SeenIn::DataDir {
            data_dir: data_dir.to_owned(),
            database_revision,
            log_entries,
        },
        notes,
    })
}

/// Each of them raises the revision by one at most, whatever it holds: a transaction has one main revision.
fn entries_behind(wal_dir: &Path, applied: u64) -> Result<u64> {
    let segments = data_dir::segments(&Disk, wal_dir)?;
    Ok(survey::last_index(&segments, applied)?.saturating_sub(applied))
}

impl fmt::Display for Seen {
    /// `revision 230 in /var/lib/etcd, with 15 entries of its log`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revision {}", self.revision)?;
        match &self.from {
            SeenIn::Endpoint { endpoint, .. } => write!(f, " at {endpoint}"),
            SeenIn::DataDir {
                data_dir,
                log_entries,
                ..
            } => {
                write!(f, " in {}", data_dir.display())?;
                match log_entries {
                    0 => Ok(()),
                    1 => f.write_str(", with 1 entry of its log"),
                    n => write!(f, ", with {n} entries of its log"),
                }
            }
            SeenIn::Told => f.write_str(", as was said"),
        }
    }
}
