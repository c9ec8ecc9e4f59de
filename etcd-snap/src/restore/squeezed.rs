//! The database of the new members, written anew: without the pages that nobody uses, and without what hangs on leases.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::RestoreOptions;
use super::amend::Changes;
use super::database::{Restored, expected_digest, require_digest};
use super::leased::LeasedKeys;
use super::read_back::not_as_written;
use crate::backend::{RevisionKey, bucket};
use crate::bbolt::{Differences, Record, Records, Top};
use crate::io::{Flusher, NewFile};
use crate::rewritten::{in_use_bytes, prove, rewrite};
use crate::verify::Wants;
use crate::{Error, NewCluster, Result, Revision, Snapshot};

/// What was found and left out on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeftOut {
    /// Bytes of pages that nobody used.
    pub(super) free_bytes: u64,
    /// User keys that hung on a lease, where they were asked for.
    pub(super) keys: Option<u64>,
    /// Their records, older ones included.
    pub(super) records: u64,
}

/// Proves the snapshot, writes its database anew with the changes, checks pages and records of the result, and syncs it.
pub(super) fn build(
    snapshot: &Snapshot,
    cluster: &NewCluster,
    options: &RestoreOptions,
    file: &Arc<dyn NewFile>,
    path: &Path,
) -> Result<Restored> {
    let observer = options.observer.as_ref();
    let wants = Wants {
        digest: expected_digest(snapshot, options).is_some(),
        ..Wants::default()
    };
    let before = prove(snapshot, wants, observer)?;
    require_digest(snapshot, options, before.digest)?;

    let top = Top::read(snapshot.source(), *snapshot.meta())?;
    let changes = Changes::of(snapshot.name(), &top, cluster, options)?;
    let leased = options
        .drop_leases
        .then(|| LeasedKeys::find(snapshot, observer))
        .transpose()?;
    let leaves_all = leased.is_none() && changes.placeholder.is_none();
    let snapshot_revision = changes.last;
    let mut differences = Changed {
        replaced: changes.replaced,
        placeholder: changes.placeholder,
        leased,
        last: changes.last,
        last_kept: Revision::default(),
        records: 0,
    };
    let in_use = in_use_bytes(snapshot, &before.contents);
    let mut flusher = Flusher::new(file);
    let meta = rewrite(
        snapshot,
        in_use,
        &mut differences,
        (file, path),
        &mut flusher,
        observer,
    )?;

    let left_out = LeftOut {
        free_bytes: before.contents.total_size_bytes.saturating_sub(in_use),
        keys: differences.leased.as_ref().map(LeasedKeys::len),
        records: differences.records,
    };
    // The look over the result needs the memory.
    drop(differences);
    let built = Snapshot::from_source(snapshot.name(), Arc::new(Arc::clone(file)))?;
    let after = prove(&built, Wants::default(), observer)?.contents;
    let same_keys = !leaves_all || after.hash_kv == before.contents.hash_kv;
    if *built.meta() != meta || after.free_pages > 0 || !same_keys {
        return Err(not_as_written(path));
    }
    flusher.finish().map_err(|e| Error::io("sync", path, e))?;
    Ok(Restored {
        file: Arc::clone(file),
        unsynced: Vec::new(),
        problems: Vec::new(),
        more_problems: 0,
        size_bytes: built.size_bytes(),
        digest: before.digest,
        snapshot_revision,
        contents: after,
        left_out: Some(left_out),
    })
}

struct Changed {
    replaced: BTreeMap<Vec<u8>, Records>,
    placeholder: Option<Vec<u8>>,
    leased: Option<LeasedKeys>,
    /// The revision of the snapshot's last record, and of the last one that stayed.
    last: Revision,
    last_kept: Revision,
    /// Those that did not stay.
    records: u64,
}

impl Differences for Changed {
    fn replaced(&mut self) -> BTreeMap<Vec<u8>, Records> {
        std::mem::take(&mut self.replaced)
    }

    fn keeps(&mut self, bucket: &[u8], record: &mut Record<'_, '_>) -> Result<bool> {
        let Some(leased) = self.leased.as_ref().filter(|_| bucket == bucket::KEY) else {
            return Ok(true);
        };
        // All of a key's history: an older value without a lease would come to life again.
        if leased.has(record)? {
            self.records = self.records.saturating_add(1);
            return Ok(false);
        }
        if let Ok(key) = RevisionKey::parse(record.key) {
            self.last_kept = self.last_kept.max(key.main);
        }
        Ok(true)
    }

    /// The revision must not go down: clients have seen it. Where nothing is left of the last one, what a bump writes stands for
    /// it (formats.md 5.8).
    fn appended(&mut self, bucket: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        if bucket != bucket::KEY {
            return None;
        }
        let stand_in = (self.leased.is_some() && self.last_kept < self.last)
            .then(|| RevisionKey::to_bytes(self.last, 0).to_vec());
        let key = self.placeholder.take().or(stand_in)?;
        Some((key, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::restore_with;
    use super::*;
    use crate::io::Storage;
    use crate::io::faulty::{Fault, FaultyDisk};
    use crate::{ErrorKind, MemberTarget};

    fn restored(root: &Path, disk: FaultyDisk) -> Result<crate::RestoreReport> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db");
        let cluster = NewCluster::parse("m1=http://10.0.0.1:2380", "t")?;
        let targets = [MemberTarget::new("m1", root.join("data"))];
        let options = RestoreOptions::default().with_drop_leases(true);
        let storage: Arc<dyn Storage> = Arc::new(disk);
        restore_with(
            &storage,
            &Snapshot::open(path)?,
            &cluster,
            &targets,
            &options,
        )
    }

    #[test]
    fn a_step_that_fails_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(u64::MAX, Fault::Once);
        let report = restored(root.path(), disk.clone()).unwrap();
        assert!(report.dropped.free_bytes > 0, "{report:?}");
        assert_eq!(report.contents.free_pages, 0);
        // Behind the last rename there is a directory to be synced, of which a failure takes the name back.
        for failing in 0..disk.steps() {
            let root = tempfile::tempdir().unwrap();
            let error = restored(root.path(), FaultyDisk::new(failing, Fault::Once)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{failing}: {error}");
            assert_eq!(
                root.path().read_dir().unwrap().count(),
                0,
                "{failing}: {error}"
            );
        }
    }

    #[test]
    fn a_digest_that_does_not_fit_is_told_before_anything_is_written_anew() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db");
        let mut bytes = std::fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let root = tempfile::tempdir().unwrap();
        let cluster = NewCluster::parse("m1=http://10.0.0.1:2380", "t").unwrap();
        let targets = [MemberTarget::new("m1", root.path().join("data"))];
        let restored = |options: RestoreOptions| {
            let snapshot = Snapshot::from_source("it", Arc::new(bytes.clone())).unwrap();
            crate::restore(&snapshot, &cluster, &targets, &options.with_squeeze(true))
        };
        let error = restored(RestoreOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
        assert_eq!(root.path().read_dir().unwrap().count(), 0);
        let report = restored(RestoreOptions::default().with_skip_hash_check(true)).unwrap();
        assert_eq!(report.digest, None);
    }
}
