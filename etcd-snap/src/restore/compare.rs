//! Whether data directories belong to the same restore.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::old_members::{SnapshotMember, snapshot_members};
use crate::data_dir::{self, HeldDatabase};
use crate::io::Disk;
use crate::observe::{Event, Observer, Phase, Silent, tell};
use crate::raft::survey::{Survey, survey};
use crate::{
    ClusterId, Digest, Error, ErrorKind, HashKvOptions, MemberId, RestoreOptions, RestorePlan,
    Result, Revision, fast_status, hash_kv,
};

/// How to compare.
#[derive(Clone)]
pub struct CompareOptions {
    wal_dirs: Vec<(PathBuf, PathBuf)>,
    observer: Arc<dyn Observer>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            wal_dirs: Vec::new(),
            observer: Arc::new(Silent),
        }
    }
}

impl CompareOptions {
    /// The WAL of this data directory has a directory of its own.
    #[must_use]
    pub fn with_wal_dir(
        mut self,
        data_dir: impl Into<PathBuf>,
        wal_dir: impl Into<PathBuf>,
    ) -> Self {
        self.wal_dirs.push((data_dir.into(), wal_dir.into()));
        self
    }

    /// Who is told of progress, and may stop the work.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

impl std::fmt::Debug for CompareOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompareOptions")
            .field("wal_dirs", &self.wal_dirs)
            .finish_non_exhaustive()
    }
}

/// What data directories have in common, and what not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "directories may differ: look at it, or call require_equal"]
#[non_exhaustive]
pub struct CompareReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// Whether they can be members of one cluster.
    pub belong_together: bool,
    /// How the databases were compared.
    pub compared: ComparedBy,
    /// The directories, in the order in which they were given.
    pub members: Vec<ComparedMember>,
}

/// How databases were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ComparedBy {
    /// Byte by byte: no server has run in the directories yet.
    Bytes,
    /// By the hash over their keys, since servers have run.
    HashKv {
        /// At this revision, which all of them have.
        revision: Revision,
    },
}

/// A data directory that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ComparedMember {
    /// The directory.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub data_dir: PathBuf,
    /// The cluster that its log is of.
    pub cluster_id: ClusterId,
    /// The member that its log is of.
    pub member_id: MemberId,
    /// The member's name in the list of members; `None` where it is not in it.
    pub name: Option<String>,
    /// All members, as the database has them.
    pub members: Vec<SnapshotMember>,
    /// The revision of the database.
    pub revision: Revision,
    /// Whether a server has written to it since it was made.
    pub has_run: bool,
    /// What was compared of the database: its SHA-256, or the hash over its keys. `None` where it has no such hash.
    pub fingerprint: Option<String>,
    /// In what it differs from the others, or from itself, each as a sentence. Empty where all is well.
    pub differences: Vec<String>,
}

impl CompareReport {
    /// The verdict as a result.
    ///
    /// # Errors
    /// `Unproven` where the directories do not belong together, with the first difference in the sentence.
    pub fn require_equal(&self) -> Result<()> {
        let odd = self
            .members
            .iter()
            .find_map(|member| Some((member, member.differences.first()?)));
        match odd {
            None => Ok(()),
            Some((member, difference)) => Err(Error::new(
                ErrorKind::Unproven,
                format!(
                    "the directories do not belong to the same restore: {}: {difference}",
                    member.data_dir.display()
                ),
            )
            .with_path(&member.data_dir)),
        }
    }
}

/// Says whether data directories belong to the same restore: one cluster, every member once and in the list of all, and the same
/// data. The WAL of each is looked for in `member/wal`, unless [`with_wal_dir`](CompareOptions::with_wal_dir) says where it is.
///
/// Databases are the same byte by byte until a server has run; after that they have the same hash over their keys at the newest
/// revision that all of them have. Nothing is changed. The databases are locked meanwhile.
///
/// # Errors
/// `InvalidInput` for fewer than two directories; `NotFound` where database or log are missing; `Busy` where a server runs;
/// `Damaged` where one of them is; `Cancelled`. That they differ is no error, but in the report.
pub fn compare_restored(
    data_dirs: &[impl AsRef<Path>],
    options: &CompareOptions,
) -> Result<CompareReport> {
    let observer = &options.observer;
    if data_dirs.len() < 2 {
        return Err(Error::invalid(
            "one directory is not enough to compare: name two or more",
        ));
    }
    refuse_twice(data_dirs)?;
    tell(observer.as_ref(), &Event::Started(Phase::Lock))?;
    let found = data_dirs
        .iter()
        .map(|data_dir| {
            let data_dir = data_dir.as_ref();
            let given = options.wal_dirs.iter().find(|(of, _)| of == data_dir);
            let wal_dir = match given {
                Some((_, wal_dir)) => wal_dir.clone(),
                None => data_dir::wal(data_dir),
            };
            Found::read(data_dir, &wal_dir)
        })
        .collect::<Result<Vec<_>>>()?;
    let (compared, fingerprints) = fingerprints(&found, observer)?;

    let mut members: Vec<_> = found
        .iter()
        .zip(&fingerprints)
        .map(|(found, fingerprint)| found.compared(fingerprint.clone()))
        .collect();
    name_differences(&mut members, &found);
    Ok(CompareReport {
        schema: 1,
        belong_together: members.iter().all(|member| member.differences.is_empty()),
        compared,
        members,
    })
}

/// A directory is not to be compared with itself: its lock could not even be had twice.
fn refuse_twice(data_dirs: &[impl AsRef<Path>]) -> Result<()> {
    let mut seen = Vec::new();
    for data_dir in data_dirs {
        let data_dir = data_dir.as_ref();
        let place = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        if seen.contains(&place) {
            return Err(Error::invalid(format!(
                "{} is named twice: name the directories of different members",
                data_dir.display()
            ))
            .with_path(data_dir));
        }
        seen.push(place);
    }
    Ok(())
}

/// What one directory says.
struct Found {
    data_dir: PathBuf,
    held: HeldDatabase,
    log: Survey,
    members: Vec<SnapshotMember>,
    revision: Revision,
    compact_revision: Option<Revision>,
    has_run: bool,
}

impl Found {
    fn read(data_dir: &Path, wal_dir: &Path) -> Result<Self> {
        let held = HeldDatabase::take(&Disk, data_dir)?;
        let segments = data_dir::segments(&Disk, wal_dir)?;
        let log = survey(&segments).map_err(|e| e.under(&wal_dir.display().to_string()))?;
        let status = fast_status(&held.snapshot)?;
        let members = snapshot_members(&held.snapshot)?;
        // A restore writes one entry for each member, and a server that starts writes more.
        let founded = members.len() as u64;
        let has_run = log.last_index != founded || status.consistent_index != Some(founded);
        Ok(Self {
            data_dir: data_dir.to_owned(),
            held,
            log,
            members,
            revision: status
                .revision
                .max(status.compact_revision.unwrap_or_default()),
            compact_revision: status.compact_revision,
            has_run,
        })
    }

    fn compared(&self, fingerprint: Option<String>) -> ComparedMember {
        let own = self.log.member_id;
        let listed = self.members.iter().find(|member| member.member_id == own);
        ComparedMember {
            data_dir: self.data_dir.clone(),
            cluster_id: self.log.cluster_id,
            member_id: own,
            name: listed.map(|member| member.name.clone()),
            members: self.members.clone(),
            revision: self.revision,
            has_run: self.has_run,
            fingerprint,
            differences: Vec::new(),
        }
    }

    /// Ids and URLs: names and client URLs come when a member starts.
    fn list(&self) -> Vec<(MemberId, Vec<String>)> {
        self.members
            .iter()
            .map(|member| (member.member_id, sorted(&member.peer_urls)))
            .collect()
    }

    fn list_of_log(&self) -> Option<Vec<(MemberId, Vec<String>)>> {
        let members = self.log.members.as_ref()?;
        let list = members.values();
        Some(
            list.map(|member| (member.id, sorted(&member.peer_urls)))
                .collect(),
        )
    }
}

fn sorted(urls: &[String]) -> Vec<String> {
    let mut urls = urls.to_vec();
    urls.sort();
    urls
}

/// What tells the databases apart.
fn fingerprints(
    found: &[Found],
    observer: &Arc<dyn Observer>,
) -> Result<(ComparedBy, Vec<Option<String>>)> {
    if found.iter().all(|found| !found.has_run) {
        let hashed = found
            .iter()
            .map(|found| {
                let whole = RestoreOptions::default().with_skip_hash_check(true);
                let snapshot = &found.held.snapshot;
                let digest: Digest = RestorePlan::digest_of(snapshot, &whole, observer.as_ref())?;
                Ok(Some(digest.to_string()))
            })
            .collect::<Result<_>>()?;
        return Ok((ComparedBy::Bytes, hashed));
    }
    let revision = found.iter().map(|found| found.revision).min();
    let revision = revision.unwrap_or_default();
    let compacted = found
        .iter()
        .filter_map(|found| found.compact_revision)
        .max();
    let hashed = found
        .iter()
        .map(|found| {
            let mut options = HashKvOptions::default()
                .with_revision(revision)
                .with_observer(Arc::clone(observer));
            if let Some(compacted) = compacted {
                options = options.with_compact_revision(compacted);
            }
            match hash_kv(&found.held.snapshot, &options) {
                Ok(hash) => Ok(Some(format!("{:08x}", hash.hash))),
                // One of them has compacted away what the others have last.
                Err(e) if e.kind() == ErrorKind::InvalidInput => Ok(None),
                Err(e) => Err(e),
            }
        })
        .collect::<Result<_>>()?;
    Ok((ComparedBy::HashKv { revision }, hashed))
}

fn name_differences(members: &mut [ComparedMember], found: &[Found]) {
    let cluster_id = most(found.iter().map(|found| found.log.cluster_id));
    let list = most(found.iter().map(Found::list));
    let fingerprint = most(members.iter().map(|member| member.fingerprint.clone()));
    let mut seen: BTreeMap<MemberId, PathBuf> = BTreeMap::new();
    for (member, found) in members.iter_mut().zip(found) {
        let mut differs = |sentence: String| member.differences.push(sentence);
        if Some(member.cluster_id) != cluster_id {
            let others = cluster_id.unwrap_or(member.cluster_id);
            differs(format!(
                "it is of the cluster {}, the others of {others}",
                member.cluster_id
            ));
        }
        if let Some(other) = seen.insert(member.member_id, member.data_dir.clone()) {
            differs(format!(
                "it is the member {}, as {} is",
                member.member_id,
                other.display()
            ));
        }
        if member.name.is_none() {
            differs(format!(
                "its list of members lacks {}, which its log says it is",
                member.member_id
            ));
        }
        if found.list_of_log().is_some_and(|log| log != found.list()) {
            differs("its database names other members than its log".to_owned());
        }
        if Some(found.list()) != list {
            differs("it names other members than the others".to_owned());
        }
        match &member.fingerprint {
            None => differs("its keys cannot be compared: too much is compacted away".to_owned()),
            Some(own) if fingerprint.as_ref() != Some(&member.fingerprint) => {
                differs(format!("its database has other content: {own}"));
            }
            Some(_) => {}
        }
    }
}

/// What most have; of several such, what came first.
fn most<T: PartialEq>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: Vec<(T, usize)> = Vec::new();
    for value in values {
        match counts.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.push((value, 1)),
        }
    }
    let mut best: Option<(T, usize)> = None;
    for (value, count) in counts {
        if best.as_ref().is_none_or(|(_, most)| count > *most) {
            best = Some((value, count));
        }
    }
    best.map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bump, MemberTarget, NewCluster, Snapshot, restore};

    const THREE: &str = "m1=http://a:2380,m2=http://b:2380,m3=http://c:2380";

    fn made(root: &Path, initial: &str, token: &str, options: &RestoreOptions) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let snapshot = Snapshot::open(folder.join("../testdata/snapshots/3.6.db")).unwrap();
        let cluster = NewCluster::parse(initial, token).unwrap();
        let mut names: Vec<_> = cluster.members().iter().map(|it| it.name()).collect();
        names.sort_unstable();
        let targets: Vec<_> = names
            .iter()
            .map(|name| MemberTarget::new(*name, root.join(name)))
            .collect();
        restore(&snapshot, &cluster, &targets, options).unwrap();
        names.into_iter().map(|name| root.join(name)).collect()
    }

    fn compared(data_dirs: &[PathBuf]) -> CompareReport {
        compare_restored(data_dirs, &CompareOptions::default()).unwrap()
    }

    #[test]
    fn members_of_one_restore_belong_together() {
        let root = tempfile::tempdir().unwrap();
        let members = made(root.path(), THREE, "t", &RestoreOptions::default());
        let report = compared(&members);
        assert!(report.belong_together, "{report:?}");
        assert_eq!(report.compared, ComparedBy::Bytes);
        let names: Vec<_> = report.members.iter().map(|it| it.name.clone()).collect();
        assert_eq!(names, ["m1", "m2", "m3"].map(|it| Some(it.to_owned())));
        assert!(report.members.iter().all(|member| !member.has_run));
        report.require_equal().unwrap();
    }

    #[test]
    fn what_does_not_belong_to_the_others_is_named() {
        let root = tempfile::tempdir().unwrap();
        let plain = RestoreOptions::default();
        let bumped = plain
            .clone()
            .with_bump(Bump::By(9))
            .with_mark_compacted(true);
        let folder = |name: &str| root.path().join(name);
        let members = made(&folder("one"), THREE, "t", &plain);
        let token = made(&folder("token"), THREE, "other", &plain);
        let bump = made(&folder("bump"), THREE, "t", &bumped);
        let four = format!("{THREE},m4=http://d:2380");
        let four = made(&folder("four"), &four, "t", &plain);
        let copy = folder("copy");
        for file in [
            "member/snap/db",
            "member/wal/0000000000000000-0000000000000000.wal",
        ] {
            fs::create_dir_all(copy.join(file).parent().unwrap()).unwrap();
            fs::copy(members[0].join(file), copy.join(file)).unwrap();
        }
        for (odd, words) in [
            (
                &token[2],
                &[
                    "it is of the cluster",
                    "names other members",
                    "other content",
                ][..],
            ),
            (&bump[2], &["its database has other content"]),
            (
                &four[2],
                &[
                    "it is of the cluster",
                    "names other members",
                    "other content",
                ],
            ),
            (&copy, &["it is the member"]),
        ] {
            let report = compared(&[members[0].clone(), members[1].clone(), odd.clone()]);
            assert!(!report.belong_together);
            let [first, second, last] = &report.members[..] else {
                panic!("{report:?}")
            };
            assert_eq!(first.differences, [] as [&str; 0]);
            assert_eq!(second.differences, [] as [&str; 0]);
            assert_eq!(last.differences.len(), words.len(), "{last:?}");
            for (difference, words) in last.differences.iter().zip(words) {
                assert!(difference.contains(words), "{difference}");
            }
            let error = report.require_equal().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unproven);
        }
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let members = made(root.path(), THREE, "t", &RestoreOptions::default());
        let refused = |data_dirs: &[PathBuf]| {
            let compared = compare_restored(data_dirs, &CompareOptions::default());
            compared.unwrap_err().kind()
        };
        assert_eq!(refused(&members[..1]), ErrorKind::InvalidInput);
        let twice = [members[0].clone(), members[0].join("../m1")];
        assert_eq!(refused(&twice), ErrorKind::InvalidInput);
        let absent = root.path().join("absent");
        assert_eq!(refused(&[members[0].clone(), absent]), ErrorKind::NotFound);
        let held = HeldDatabase::take(&Disk, &members[1]).unwrap();
        assert_eq!(refused(&members), ErrorKind::Busy);
        drop(held);
        let (own, moved) = (members[1].join("member/wal"), root.path().join("wal"));
        fs::rename(own, &moved).unwrap();
        assert_eq!(refused(&members), ErrorKind::NotFound);
        let options = CompareOptions::default().with_wal_dir(&members[1], moved);
        let report = compare_restored(&members, &options).unwrap();
        assert!(report.belong_together, "{report:?}");
    }
}
