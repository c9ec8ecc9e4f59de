//! What lies beside a snapshot and says where it is from: the report of the save that made it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{ClusterId, Digest, Error, MemberId, Result, Revision, Snapshot};

/// Behind the name of the snapshot.
const SUFFIX: &str = ".manifest.json";
/// The report of a save has some kilobytes.
const MOST_BYTES: u64 = 16 << 20;

/// What a manifest says, as far as a restore has use for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Saved")]
#[non_exhaustive]
pub struct Manifest {
    /// Bytes of the file that it belongs to.
    pub size_bytes: u64,
    /// The digest of the file that it belongs to.
    pub digest: Digest,
    /// The cluster that the snapshot is from.
    pub cluster_id: Option<ClusterId>,
    /// The member that gave it.
    pub member_id: Option<MemberId>,
    /// The revision that it is at.
    pub revision: Option<Revision>,
    /// When it was complete, as `2026-11-26T01:19:44Z`.
    pub saved_at: Option<String>,
}

/// The fields of the report.
#[derive(Deserialize)]
struct Saved {
    size_bytes: u64,
    digest: Digest,
    cluster_id: Option<ClusterId>,
    member_id: Option<MemberId>,
    contents: Option<Held>,
    saved_at: Option<String>,
}

#[derive(Deserialize)]
struct Held {
    revision: Revision,
}

impl From<Saved> for Manifest {
    fn from(saved: Saved) -> Self {
        Self {
            size_bytes: saved.size_bytes,
            digest: saved.digest,
            cluster_id: saved.cluster_id,
            member_id: saved.member_id,
            revision: saved.contents.map(|held| held.revision),
            saved_at: saved.saved_at,
        }
    }
}

impl Manifest {
    /// Where the manifest of a snapshot lies: beside it, under its name and `.manifest.json`.
    #[must_use]
    pub fn path_for(snapshot: &Path) -> PathBuf {
        let mut name = OsString::from(snapshot);
        name.push(SUFFIX);
        name.into()
    }

    /// Reads the manifest that lies beside a snapshot; `None` where there is none.
    ///
    /// # Errors
    /// `InvalidInput` where it is not readable, or belongs to another file: digest or size are not the snapshot's.
    pub fn beside(snapshot: &Snapshot) -> Result<Option<Self>> {
        let Some(path) = snapshot.path().map(Self::path_for) else {
            return Ok(None);
        };
        let size = match fs::metadata(&path) {
            Ok(there) => there.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("look at", &path, e)),
        };
        let refused = |why: &str| {
            Error::invalid(format!(
                "{} {why}: name the snapshot that it belongs to, or move it away",
                path.display()
            ))
            .with_path(&path)
        };
        if size > MOST_BYTES {
            return Err(refused("is too large for a manifest"));
        }
        let text = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|e| refused("is not the manifest of a snapshot").with_source(e))?;
        if Some(manifest.digest) != snapshot.digest()
            || manifest.size_bytes != snapshot.size_bytes()
        {
            return Err(refused(&format!(
                "belongs to another file than {}, one of {} bytes with the digest {}",
                snapshot.name(),
                manifest.size_bytes,
                manifest.digest
            ))
            .with_detail("expected", manifest.digest.to_string()));
        }
        Ok(Some(manifest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn snapshot(folder: &Path) -> Snapshot {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db");
        let copy = folder.join("backup.db");
        fs::copy(source, &copy).unwrap();
        Snapshot::open(copy).unwrap()
    }

    #[test]
    fn a_manifest_belongs_to_the_file_with_its_digest_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = snapshot(folder.path());
        assert_eq!(Manifest::beside(&snapshot).unwrap(), None);
        let path = folder.path().join("backup.db.manifest.json");
        let (digest, size) = (snapshot.digest().unwrap(), snapshot.size_bytes());
        let text = |digest: &str, size: u64| {
            format!(
                r#"{{"digest":"{digest}","size_bytes":{size},"cluster_id":"ab","contents":{{"revision":215,"more":1}},"new":[]}}"#
            )
        };
        fs::write(&path, text(&digest.to_string(), size)).unwrap();
        let manifest = Manifest::beside(&snapshot).unwrap().unwrap();
        assert_eq!(manifest.cluster_id, Some(ClusterId::new(0xab)));
        assert_eq!(manifest.revision, Some(Revision::new(215)));
        for (wrong, words) in [
            (text(&"0".repeat(64), size), "belongs to another file than"),
            (text(&digest.to_string(), 7), "one of 7 bytes"),
            ("{}".to_owned(), "is not the manifest"),
            (String::new(), "is not the manifest"),
        ] {
            fs::write(&path, wrong).unwrap();
            let error = Manifest::beside(&snapshot).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
