//! A snapshot file, written anew without the pages that nobody uses.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod options;
mod report;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use options::SqueezeOptions;
pub use report::SqueezeReport;

use crate::bbolt::Same;
use crate::io::{Flusher, directory_of, look_at, stage_file};
use crate::observe::{Event, Phase, tell};
use crate::rewritten::{in_use_bytes, prove, require_same, require_space, rewrite};
use crate::verify::{DigestCheck, Wants, proven};
use crate::{Digest, Error, ErrorKind, Result, Snapshot};

/// Writes a snapshot file anew, so that it has no page that nobody uses, with a fresh digest at its end.
///
/// The snapshot is proven first, as [`verify`](crate::verify) does, digest included. The new file is written beside `target`,
/// walked in the same way, and holds what the old one holds, by etcd's own hashes, before it gets its name in one step. `target`
/// may be the snapshot itself, which is then replaced.
///
/// Blocks until it is done. Memory stays within a few megabytes beside what the proof takes.
///
/// # Errors
/// `InvalidInput` or `Occupied` where the target cannot be a file, or is one that is not to be replaced; `NoDigest`,
/// `DigestMismatch` or `Damaged` where the snapshot is not proven; `NoSpace`, `NotFound`, `AccessDenied`, `Io` where writing fails;
/// `Cancelled`. After any of them the target is as it was, and nothing lies beside it; only where the very last step fails, the
/// sync of the directory, the new file is there, is whole, and may lose its name in a power failure. A process that is killed
/// leaves `.NAME.0123456789abcdef.part`, which the next run to that target removes.
pub fn squeeze(
    snapshot: &Snapshot,
    target: impl AsRef<Path>,
    options: &SqueezeOptions,
) -> Result<SqueezeReport> {
    let started = Instant::now();
    let (target, observer) = (target.as_ref(), options.observer());

    if look_at(target, options.replace())?.is_some() {
        return Err(Error::invalid(format!(
            "{} is a device or a pipe: a snapshot can be squeezed into a file only",
            target.display()
        ))
        .with_path(target));
    }
    let wants = Wants {
        digest: true,
        ..Wants::default()
    };
    let before = prove(snapshot, wants, observer)?;
    let snapshot_digest = match before.digest {
        Some(found) if !options.skip_hash_check => {
            let compared = DigestCheck::of(snapshot.digest(), found);
            Some(proven(snapshot.name(), &compared, &[], 0)?)
        }
        _ => None,
    };
    let in_use_before_bytes = in_use_bytes(snapshot, &before.contents);
    let directory = directory_of(target);

    let mut new = stage_file(Arc::clone(options.storage()), target, "squeeze", observer)?;
    require_space(options.storage().as_ref(), directory, in_use_before_bytes)?;
    let mut flusher = Flusher::new(new.file());
    rewrite(
        snapshot,
        in_use_before_bytes,
        &mut Same,
        (new.file(), target),
        &mut flusher,
        observer,
    )?;
    let written = Snapshot::from_source("the new file", Arc::new(Arc::clone(new.file())))?;
    let after = prove(&written, wants, observer)?;
    require_same(&before.contents, &after.contents)?;
    let digest = after
        .digest
        .ok_or_else(|| Error::new(ErrorKind::Io, "the digest was not computed"))?;
    let file_after_bytes = seal(&new, target, &written, digest)?;
    let failed = |e| Error::io("sync the new file for", target, e);
    flusher.finish().map_err(failed)?;

    tell(observer, &Event::Started(Phase::Publish))?;
    new.publish(options.replace())?;
    Ok(SqueezeReport {
        schema: 1,
        snapshot: snapshot.path().map(ToOwned::to_owned),
        snapshot_digest,
        target: target.to_owned(),
        digest,
        file_before_bytes: snapshot.size_bytes(),
        in_use_before_bytes,
        file_after_bytes,
        contents: after.contents,
        duration_ms: crate::milliseconds(started),
    })
}

/// Puts the digest behind the database, and gives the bytes of the whole file.
fn seal(
    new: &crate::io::StagedFile,
    target: &Path,
    written: &Snapshot,
    digest: Digest,
) -> Result<u64> {
    new.file()
        .write_at(digest.as_bytes(), written.size_bytes())
        .map_err(|e| Error::io("write the digest of", target, e))?;
    let sealed = Snapshot::from_source("the new file", Arc::new(Arc::clone(new.file())))?;
    if sealed.digest() == Some(digest) && sealed.meta() == written.meta() {
        return Ok(sealed.size_bytes());
    }
    Err(Error::damaged(format!(
        "the new file for {} does not read back as it was written",
        target.display()
    ))
    .with_path(target))
}
