//! For which minor of etcd the restored database is laid out (formats.md 6.3).

use super::RestoreOptions;
use crate::backend::{StorageVersion, bucket, meta_key};
use crate::bbolt::{Records, Top};
use crate::{Error, ErrorKind, Result, Snapshot};

/// Whether there are such servers, and the result can be made fit for them.
pub(super) fn require_known(target: StorageVersion) -> Result<()> {
    let (oldest, newest) = (StorageVersion::V3_4, StorageVersion::V3_7);
    if (oldest..=newest).contains(&target.trimmed()) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a snapshot cannot be prepared for etcd {}.{}: the oldest is {}.{}, the newest that is known {}.{}",
        target.major(),
        target.minor(),
        oldest.major(),
        oldest.minor(),
        newest.major(),
        newest.minor()
    )))
}

/// Whether what is known of the snapshot's own version is enough to prepare it for another; asked before anything is written.
pub(super) fn require_possible(snapshot: &Snapshot, options: &RestoreOptions) -> Result<()> {
    let Some(target) = options.target_version else {
        return Ok(());
    };
    let source = snapshot.source().as_ref();
    let read = |name| Top::read(source, *snapshot.meta())?.small_bucket(name);
    let (settings, versions) = match (read(bucket::META), read(bucket::CLUSTER)) {
        (Ok(settings), Ok(versions)) => (settings, versions),
        // Whoever looks at all of it says better what is wrong.
        (Err(e), _) | (_, Err(e)) if e.kind() == ErrorKind::Damaged => return Ok(()),
        (Err(e), _) | (_, Err(e)) => return Err(e),
    };
    let stored = StorageVersion::detect(&settings).max(cluster_version(&versions));
    match stored.filter(|stored| stored.trimmed() > StorageVersion::V3_7) {
        None => Ok(()),
        Some(stored) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} is of etcd {stored}, which may have written what {target} does not understand: restore it for the version it \
                 is of, and downgrade that cluster as etcd's documentation says",
                snapshot.name()
            ),
        )
        .with_detail("version", stored.to_string())
        .with_detail("target", target.to_string())),
    }
}

/// Lowers what is above the target; servers raise what is below by themselves.
pub(super) fn prepare(target: StorageVersion, settings: &mut Records, versions: &mut Records) {
    let target = target.trimmed();
    let text = || target.to_string().into_bytes();
    if target < StorageVersion::V3_6 {
        settings.remove(meta_key::STORAGE_VERSION);
    } else if settings.contains_key(meta_key::STORAGE_VERSION)
        && StorageVersion::detect(settings).is_some_and(|stored| stored.trimmed() > target)
    {
        settings.insert(meta_key::STORAGE_VERSION.to_vec(), text());
    }
    if target < StorageVersion::V3_5 {
        settings.remove(meta_key::TERM);
        settings.remove(meta_key::CONF_STATE);
    }
    if cluster_version(versions).is_some_and(|version| version.trimmed() > target) {
        versions.insert(meta_key::CLUSTER_VERSION.to_vec(), text());
    }
}

fn cluster_version(versions: &Records) -> Option<StorageVersion> {
    let text = versions.get(meta_key::CLUSTER_VERSION)?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records<const N: usize>(records: [(&[u8], &str); N]) -> Records {
        let owned = |(key, value): (&[u8], &str)| (key.to_vec(), value.as_bytes().to_vec());
        records.into_iter().map(owned).collect()
    }

    /// The table of formats.md 6.3.
    #[test]
    fn what_is_above_the_target_is_lowered_and_what_is_below_stays() {
        for (source, target, storage, cluster, has_term) in [
            (Some("3.7.0"), "3.7", Some("3.7.0"), "3.7.0", true),
            (Some("3.7.0"), "3.6", Some("3.6.0"), "3.6.0", true),
            (Some("3.7.0"), "3.5", None, "3.5.0", true),
            (Some("3.7.0"), "3.4", None, "3.4.0", false),
            (Some("3.6.0"), "3.7", Some("3.6.0"), "3.6.0", true),
            (Some("3.6.0"), "3.5.9", None, "3.5.0", true),
            (None, "3.6", None, "3.5.0", true),
            (None, "3.4", None, "3.4.0", false),
        ] {
            let mut settings = records([
                (meta_key::CONSISTENT_INDEX, "index"),
                (meta_key::TERM, "term"),
                (meta_key::CONF_STATE, "{}"),
            ]);
            if let Some(source) = source {
                settings.insert(meta_key::STORAGE_VERSION.to_vec(), source.into());
            }
            let was = source.unwrap_or("3.5.0");
            let mut versions = records([(meta_key::CLUSTER_VERSION, was)]);
            prepare(target.parse().unwrap(), &mut settings, &mut versions);
            let text =
                |value: Option<&Vec<u8>>| value.map(|v| String::from_utf8(v.clone()).unwrap());
            assert_eq!(
                text(settings.get(meta_key::STORAGE_VERSION)).as_deref(),
                storage,
                "{source:?} for {target}"
            );
            assert_eq!(
                text(versions.get(meta_key::CLUSTER_VERSION)).as_deref(),
                Some(cluster)
            );
            assert_eq!(settings.contains_key(meta_key::TERM), has_term);
            assert_eq!(settings.contains_key(meta_key::CONF_STATE), has_term);
        }
    }

    #[test]
    fn only_minors_that_are_known_can_be_prepared_for() {
        for known in ["3.4", "3.5.12", "3.6", "3.7.1"] {
            require_known(known.parse().unwrap()).unwrap();
        }
        for unknown in ["3.3", "3.8", "2.7", "4.0"] {
            require_known(unknown.parse().unwrap()).unwrap_err();
        }
    }
}
