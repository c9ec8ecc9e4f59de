//! How far the revision is moved ahead (formats.md 5.8).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::seen::{self, Seen, SeenIn};
use super::{Bump, MemberTarget, RestoreOptions, findings};
use crate::data_dir;
use crate::verify::{Wants, look};
use crate::{
    Contents, Error, ErrorKind, NewCluster, Result, Revision, Snapshot, VerifyOptions, fast_status,
    verify,
};

/// Upstream adds the bump without looking; beyond this bound later additions could overflow.
const HIGHEST_REVISION: i64 = 1 << 62;
/// Where nothing tells what clients have seen: more than a busy cluster writes in a year.
const WITHOUT_ANY_SIGHT: i64 = 1_000_000_000;
/// What is added to what clients have seen: 20 % of what was written since the snapshot, and at least this.
const LEAST_MARGIN: i64 = 1_000_000;

/// How far the revision was moved ahead, and why so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bumped {
    /// By so many revisions: what `--bump-revision` says.
    pub by: u64,
    /// From here: the store's revision before.
    pub from_revision: Revision,
    /// To here. All before it is compacted away, and the next write is above it.
    pub revision: Revision,
    /// Whether nobody gave the number.
    pub automatic: bool,
    /// What clients can have seen, of all that was looked at. Empty where there was nothing to look at: then the number is a
    /// billion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Seen>,
    /// What could not be looked at, or does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The revision that the store is moved to, if any.
pub(super) fn bumped(last: Revision, bump: Bump) -> Result<Option<Revision>> {
    let bumped = match bump {
        Bump::None | Bump::By(0) => return Ok(None),
        Bump::By(by) => i64::try_from(by)
            .ok()
            .and_then(|by| last.get().checked_add(by)),
        // A watch that has seen all resumes at the next one, and is cancelled only if that lies below what is compacted.
        Bump::Above(seen) => {
            (seen.get().checked_add(2)).map(|above| above.max(last.get().saturating_add(1)))
        }
        Bump::Automatic => last.get().checked_add(WITHOUT_ANY_SIGHT),
    };
    match bumped.filter(|bumped| *bumped <= HIGHEST_REVISION) {
        Some(bumped) => Ok(Some(Revision::new(bumped))),
        None => Err(Error::invalid(format!(
            "the bump would move the store from revision {last} beyond {HIGHEST_REVISION}: choose a smaller one"
        ))),
    }
}

/// Decides how far the revision of a snapshot is moved ahead, without restoring it: what [`restore`](crate::restore) does
/// itself, for those who have to write the number down before.
///
/// With [`Bump::Automatic`], above all that clients can have seen: what [`with_seen`](RestoreOptions::with_seen) gave, and what is
/// in the data directories of the targets now. To the highest of them, if it is not below the snapshot, come 20 % of what was
/// written since, and at least a million. With nothing to look at, a billion. `None` where nothing is to be moved.
///
/// # Errors
/// `InvalidInput` where the revision would go beyond 2^62, or is bumped without being marked as compacted; `Damaged` or
/// `DigestMismatch` where the snapshot is damaged where it has to be read.
pub fn decide_bump(
    snapshot: &Snapshot,
    targets: &[MemberTarget],
    options: &RestoreOptions,
) -> Result<Option<Bumped>> {
    options.check()?;
    if matches!(options.bump, Bump::None | Bump::By(0)) {
        return Ok(None);
    }
    let from = current_revision(snapshot, options)?;
    if let Some(decided) = &options.decided {
        if decided.from_revision == from && bumped(from, Bump::By(decided.by))?.is_some() {
            return Ok(Some(decided.clone()));
        }
        return Err(Error::invalid(format!(
            "the bump was decided for a snapshot at revision {}, and {} is at {from}",
            decided.from_revision,
            snapshot.name()
        )));
    }
    let mut decided = Bumped {
        by: 0,
        from_revision: from,
        revision: from,
        automatic: options.bump == Bump::Automatic,
        seen: Vec::new(),
        notes: Vec::new(),
    };
    let mut bump = options.bump;
    if decided.automatic {
        decided.look(targets, options);
        if let Some(seen) = decided.seen.iter().map(|seen| seen.revision).max() {
            bump = Bump::By(distance(from, above(from, seen)));
        }
    }
    decided.revision = bumped(from, bump)?.unwrap_or(from);
    decided.by = distance(from, decided.revision);
    Ok(Some(decided))
}

fn distance(from: Revision, to: Revision) -> u64 {
    to.get().saturating_sub(from.get()).unsigned_abs()
}

/// Members whose directories are made in several runs would get several numbers.
pub(super) fn require_all_members(
    cluster: &NewCluster,
    targets: &[MemberTarget],
    options: &RestoreOptions,
) -> Result<()> {
    let (members, made) = (cluster.members().len(), targets.len());
    if options.bump != Bump::Automatic || options.decided.is_some() || made >= members {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{made} of {members} members would get a bump that another run may choose differently, and members must not differ: make \
         all of them at once, or give the number"
    )))
}

impl Bumped {
    /// At all that may tell what clients have seen.
    fn look(&mut self, targets: &[MemberTarget], options: &RestoreOptions) {
        for seen in sights(targets, options) {
            match seen {
                // Another cluster, or one that was set back: it has not seen what the snapshot's has.
                Ok(seen) if seen.revision < self.from_revision => self.notes.push(format!(
                    "{seen} does not count: the snapshot is newer, at {}",
                    self.from_revision
                )),
                Ok(seen) => {
                    self.notes.extend(of_another_cluster(&seen, options));
                    self.notes.extend(seen.notes.iter().cloned());
                    self.seen.push(seen);
                }
                Err(note) => self.notes.push(note),
            }
        }
    }
}

/// A restored store may be behind what its clients have seen: what is known of that, as a sentence.
pub(super) fn behind(
    snapshot: &Snapshot,
    bump: Option<&Bumped>,
    targets: &[MemberTarget],
    options: &RestoreOptions,
) -> Option<String> {
    let seen = sights(targets, options).filter_map(Result::ok);
    let highest = seen.max_by_key(|seen| seen.revision)?;
    let reached = match bump {
        Some(bump) => bump.revision,
        // What cannot be read is found by the restore itself.
        None => current_revision(snapshot, options).ok()?,
    };
    (reached < highest.revision).then(|| {
        format!(
            "clients may have seen {highest}, and the restored store is at {reached}: their watches wait for what never comes; \
             --bump-revision=auto goes beyond it"
        )
    })
}

fn sights(
    targets: &[MemberTarget],
    options: &RestoreOptions,
) -> impl Iterator<Item = Result<Seen, String>> {
    let in_the_way = targets.iter().flat_map(|target| {
        let own = data_dir::wal(target.data_dir());
        seen::in_the_way(target.data_dir(), target.wal_dir().unwrap_or(&own))
    });
    options.seen.iter().cloned().map(Ok).chain(in_the_way)
}

fn of_another_cluster(seen: &Seen, options: &RestoreOptions) -> Option<String> {
    let SeenIn::Endpoint {
        endpoint,
        cluster_id,
    } = &seen.from
    else {
        return None;
    };
    let snapshots = options.old_cluster.filter(|old| old != cluster_id)?;
    Some(format!(
        "{endpoint} belongs to the cluster {cluster_id}, and the snapshot is from {snapshots}: what clients have seen there counts all \
         the same"
    ))
}

fn above(from: Revision, seen: Revision) -> Revision {
    let written = seen.get().saturating_sub(from.get());
    let margin = (written / 5).max(LEAST_MARGIN);
    Revision::new(seen.get().saturating_add(margin))
}

/// The revision that a server would start with: that of the last record, or that of a compaction which took the last records
/// away (`store.restore`).
fn current_revision(snapshot: &Snapshot, options: &RestoreOptions) -> Result<Revision> {
    let (last, compacted) = match fast_status(snapshot) {
        Ok(told) => (told.revision, told.compact_revision),
        // A bucket that is usually small is large.
        Err(e) if e.kind() == ErrorKind::Unsupported => {
            let contents = read_whole(snapshot, options)?;
            (contents.revision, contents.compact_revision)
        }
        Err(e) if e.kind() == ErrorKind::Damaged => {
            // A fast look stops at the first thing that it cannot use; the check names all that is wrong.
            let contents = read_whole(snapshot, options)?;
            if !options.force_damaged {
                return Err(e);
            }
            (contents.revision, contents.compact_revision)
        }
        Err(e) => return Err(e),
    };
    Ok(last.max(compacted.unwrap_or_default()))
}

fn read_whole(snapshot: &Snapshot, options: &RestoreOptions) -> Result<Contents> {
    if options.skip_hash_check || options.force_damaged {
        let mut found = findings();
        let observer = options.observer.as_ref();
        let looked = look(snapshot, Wants::default(), &mut found, observer)?;
        if !options.force_damaged {
            found.require_sound(snapshot.name())?;
        }
        return Ok(looked.contents);
    }
    let proving = VerifyOptions::default().with_observer(Arc::clone(&options.observer));
    let proof = verify(snapshot, &proving)?.into_proven()?;
    Ok(proof.contents)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::{Digest, restore};

    const MILLION: i64 = 1_000_000;

    fn snapshot() -> Snapshot {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Snapshot::open(folder.join("../testdata/snapshots/3.6.db")).unwrap()
    }

    fn cluster() -> NewCluster {
        NewCluster::parse("m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380", "token").unwrap()
    }

    fn told(revisions: impl IntoIterator<Item = i64>) -> RestoreOptions {
        let automatic = RestoreOptions::default().with_bump(Bump::Automatic);
        revisions.into_iter().fold(automatic, |options, revision| {
            options.with_seen(Seen::told(Revision::new(revision)))
        })
    }

    fn decided(targets: &[MemberTarget], options: &RestoreOptions) -> Bumped {
        decide_bump(&snapshot(), targets, options).unwrap().unwrap()
    }

    #[test]
    fn an_automatic_bump_goes_beyond_all_that_was_seen() {
        // The snapshot is at 215.
        for (seen, revision) in [
            (&[][..], 215 + 1000 * MILLION),
            (&[215], 215 + MILLION),
            (&[300, 250, 999], 999 + MILLION),
            // 20 % of what was written since are more than a million.
            (&[215 + 10 * MILLION], 215 + 12 * MILLION),
            // Less than the snapshot has: it does not know its cluster.
            (&[214], 215 + 1000 * MILLION),
            (&[214, 216], 216 + MILLION),
        ] {
            let decided = decided(&[], &told(seen.iter().copied()));
            assert_eq!(decided.revision.get(), revision, "{seen:?}");
            assert_eq!(i64::try_from(decided.by).unwrap(), revision - 215);
            let counts = seen.iter().filter(|seen| **seen >= 215).count();
            assert_eq!(decided.seen.len(), counts);
            assert_eq!(decided.notes.len(), seen.len() - counts);
            assert!(decided.automatic);
        }
    }

    #[test]
    fn a_given_bump_is_taken_and_one_that_would_overflow_is_refused() {
        let by = |by| {
            let bump = RestoreOptions::default().with_bump(Bump::By(by));
            bump.with_mark_compacted(by > 0)
        };
        let given = decided(&[], &by(7));
        assert_eq!((given.by, given.automatic), (7, false));
        assert_eq!(decide_bump(&snapshot(), &[], &by(0)).unwrap(), None);
        let beyond = told([HIGHEST_REVISION]);
        for options in [by(u64::MAX), by(1 << 62), beyond] {
            let error = decide_bump(&snapshot(), &[], &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let again = RestoreOptions::default().with_decided_bump(given.clone());
        assert_eq!(decided(&[], &again), given);
        let mut other = given;
        other.from_revision = Revision::new(9);
        let other = RestoreOptions::default().with_decided_bump(other);
        let error = decide_bump(&snapshot(), &[], &other).unwrap_err();
        assert!(error.to_string().contains("at revision 9"), "{error}");
    }

    #[test]
    fn what_is_in_the_way_was_seen_and_damage_in_it_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let old = MemberTarget::new("m1", folder.path().join("old"));
        let bump = RestoreOptions::default()
            .with_bump(Bump::By(500))
            .with_mark_compacted(true);
        restore(&snapshot(), &cluster(), std::slice::from_ref(&old), &bump).unwrap();

        let targets = [old, MemberTarget::new("m2", folder.path().join("absent"))];
        let found = decided(&targets, &told([]));
        assert_eq!(found.revision.get(), 715 + MILLION);
        let seen = Seen::of_data_dir(folder.path().join("old")).unwrap();
        assert_eq!(found.seen, [seen]);

        // What an earlier restore has put aside was seen too.
        let member = folder.path().join("old/member");
        let aside = folder.path().join("old/member.old-20261126T011944Z");
        fs::rename(&member, &aside).unwrap();
        let found = decided(&targets, &told([]));
        assert_eq!(found.revision.get(), 715 + MILLION);
        assert!(
            found.seen[0]
                .to_string()
                .ends_with("member.old-20261126T011944Z")
        );
        fs::rename(&aside, &member).unwrap();

        let wal = folder.path().join("old/member/wal");
        fs::remove_dir_all(&wal).unwrap();
        let found = decided(&targets, &told([]));
        assert_eq!(found.revision.get(), 715 + MILLION);
        assert!(found.notes[0].contains("is not counted"), "{found:?}");

        fs::write(folder.path().join("old/member/snap/db"), [7; 9000]).unwrap();
        let found = decided(&targets, &told([]));
        assert_eq!(found.by, 1_000_000_000);
        assert!(found.notes[0].contains("cannot be told"), "{found:?}");
    }

    #[test]
    fn what_stays_behind_what_was_seen_is_pointed_out() {
        let plain = RestoreOptions::default();
        let by = |by| {
            plain
                .clone()
                .with_bump(Bump::By(by))
                .with_mark_compacted(true)
        };
        for (options, seen, behind) in [
            (plain.clone(), 216, true),
            (plain.clone(), 215, false),
            (by(84), 300, true),
            (by(85), 300, false),
            (plain.clone().with_bump(Bump::Automatic), 300, false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let options = options.with_seen(Seen::told(Revision::new(seen)));
            let targets = ["m1", "m2"].map(|it| MemberTarget::new(it, folder.path().join(it)));
            let report = restore(&snapshot(), &cluster(), &targets, &options).unwrap();
            let pointed_out = report.notes.iter().any(|note| note.contains("never comes"));
            assert_eq!(pointed_out, behind, "{:?}", report.notes);
        }
    }

    #[test]
    fn members_of_several_runs_get_no_automatic_bump() {
        let folder = tempfile::tempdir().unwrap();
        let target = |name: &str| MemberTarget::new(name, folder.path().join(name));
        let (one, both) = ([target("m1")], [target("m1"), target("m2")]);
        let error = restore(&snapshot(), &cluster(), &one, &told([])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("1 of 2 members"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let number = decided(&both, &told([]));
        let decided = RestoreOptions::default().with_decided_bump(number.clone());
        let report = restore(&snapshot(), &cluster(), &one, &decided).unwrap();
        assert_eq!(report.bump, Some(number));
        assert_eq!(report.contents.revision.get(), 215 + 1000 * MILLION);
    }

    #[test]
    fn a_damaged_snapshot_is_called_so_before_a_number_is_chosen() {
        let sound = fs::read(snapshot().path().unwrap()).unwrap();
        let mut bytes = sound.clone();
        let middle = bytes.len() - Digest::LEN - 40_000;
        bytes[4096 * 2..middle].fill(0xFF);
        let damaged = Snapshot::from_source("damaged", Arc::new(bytes)).unwrap();
        for (skip, kind) in [
            (false, ErrorKind::DigestMismatch),
            (true, ErrorKind::Damaged),
        ] {
            let options = told([]).with_skip_hash_check(skip);
            let error = decide_bump(&damaged, &[], &options).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}
