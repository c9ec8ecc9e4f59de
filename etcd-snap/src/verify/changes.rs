//! One record of the `key` bucket: its fields, and what they say against each other (formats.md 2).

use super::fingerprint::Fingerprints;
use crate::backend::{KeyValueShape, RevisionKey};
use crate::bbolt::{PageError, Record};

/// Where the fields of a value stand, which may be of any size. The inner error continues "the value ...".
pub(crate) fn shape_of(
    record: &mut Record<'_, '_>,
) -> Result<Result<KeyValueShape, String>, PageError> {
    KeyValueShape::parse(record.value_len(), |at, n| {
        let mut part = [0; 10];
        let bytes = record.value_part(at, n)?;
        part.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        Ok(part)
    })
}

/// The fingerprint of the user's key, which may be of any size too.
pub(crate) fn fingerprint_of(
    record: &mut Record<'_, '_>,
    shape: &KeyValueShape,
    fingerprints: &Fingerprints,
) -> Result<u128, PageError> {
    let mut fingerprint = fingerprints.begin();
    record.value_pieces(shape.key.start, shape.key.end, |bytes| {
        fingerprint.update(bytes);
    })?;
    Ok(fingerprint.finish())
}

/// What etcd's own fields say against each other.
pub(super) fn contradiction(
    revision: RevisionKey,
    shape: &KeyValueShape,
    len: u32,
) -> Option<String> {
    if revision.tombstone {
        // `kvstore_txn.go`, delete: the value holds the key and nothing else.
        let more = shape.create_revision != 0
            || shape.mod_revision != 0
            || shape.version != 0
            || shape.lease != 0
            || !shape.value.is_empty();
        if more {
            return Some("deletes a key and holds more than its name".to_owned());
        }
        return shape
            .key
            .is_empty()
            .then(|| "deletes no key by name".to_owned());
    }
    if len == 0 && revision.sub == 0 {
        // The placeholder of `--bump-revision` (formats.md 5.8).
        return None;
    }
    if shape.key.is_empty() {
        return Some("has no key".to_owned());
    }
    if shape.mod_revision != revision.main.get() {
        return Some(format!("says that it is revision {}", shape.mod_revision));
    }
    if shape.create_revision < 1 || shape.create_revision > shape.mod_revision {
        return Some(format!("was created at revision {}", shape.create_revision));
    }
    if shape.version < 1 {
        return Some(format!("is version {} of its key", shape.version));
    }
    if (shape.version == 1) != (shape.create_revision == shape.mod_revision) {
        return Some(format!(
            "is version {} of a key created at revision {}",
            shape.version, shape.create_revision
        ));
    }
    // A transaction puts a key once at most.
    if shape.version.saturating_sub(1) > shape.mod_revision.saturating_sub(shape.create_revision) {
        return Some(format!(
            "is version {} of a key created at revision {}, more than there were revisions since",
            shape.version, shape.create_revision
        ));
    }
    None
}
