//! A database that is written anew without the pages that nobody uses: the steps that every verb takes which does so.

use std::path::Path;
use std::sync::Arc;

use crate::bbolt::{self, Differences, Meta};
use crate::io::{Flusher, NewFile, Storage};
use crate::observe::{Event, Observer, Phase, tell};
use crate::verify::{Contents, Findings, Looked, Wants, look};
use crate::{Error, ErrorKind, Result, Snapshot};

/// Problems that the sentence about damage can name.
const PROBLEMS: usize = 100;

/// Looks at everything, and takes no damage.
pub(crate) fn prove(snapshot: &Snapshot, wants: Wants, observer: &dyn Observer) -> Result<Looked> {
    let mut findings = Findings::new(PROBLEMS);
    let looked = look(snapshot, wants, &mut findings, observer)?;
    findings.require_sound(snapshot.name())?;
    Ok(looked)
}

/// Bytes of the pages that are in use.
pub(crate) fn in_use_bytes(snapshot: &Snapshot, contents: &Contents) -> u64 {
    let page_size = u64::from(snapshot.meta().page_size);
    let free_bytes = contents.free_pages.saturating_mul(page_size);
    contents.total_size_bytes.saturating_sub(free_bytes)
}

/// A disk that is filled to its last byte takes others down with it.
pub(crate) fn require_space(storage: &dyn Storage, directory: &Path, bytes: u64) -> Result<()> {
    let free = storage
        .free_bytes(directory)
        .map_err(|e| Error::io("ask for the free space of", directory, e))?;
    if bytes <= free {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NoSpace,
        format!(
            "the new file needs about {bytes} bytes beside the old one, and there are {free} left in {}",
            directory.display()
        ),
    )
    .with_path(directory)
    .with_detail("needed_bytes", bytes.to_string())
    .with_detail("free_bytes", free.to_string()))
}

/// Writes the database into an empty file. `in_use_bytes` are those of the old one.
pub(crate) fn rewrite(
    old: &Snapshot,
    in_use_bytes: u64,
    differences: &mut dyn Differences,
    to: (&Arc<dyn NewFile>, &Path),
    flusher: &mut Flusher,
    observer: &dyn Observer,
) -> Result<Meta> {
    tell(observer, &Event::Started(Phase::Copy))?;
    let meta = old.meta();
    let mut read = |pages: u64| {
        let done_bytes = pages.saturating_mul(u64::from(meta.page_size));
        tell(
            observer,
            &Event::Progress {
                phase: Phase::Copy,
                done_bytes: done_bytes.min(in_use_bytes),
                total_bytes: in_use_bytes,
            },
        )
    };
    let (source, size_bytes) = (old.source(), old.database_bytes());
    let to = (to.0.as_ref(), to.1);
    let written = bbolt::rewrite(
        source,
        meta,
        size_bytes,
        to,
        flusher,
        differences,
        &mut read,
    )?;
    flusher.wrote_last();
    Ok(written)
}

/// Whatever is wrong then is our own fault.
pub(crate) fn require_same(before: &Contents, after: &Contents) -> Result<()> {
    let told = |contents: &Contents| {
        let hash_kv = contents.hash_kv.as_ref().map(|of| (of.hash, of.revision));
        let records = (contents.total_records, contents.live_keys);
        (contents.hash, hash_kv, contents.revision, records)
    };
    if told(before) == told(after) && after.free_pages == 0 {
        return Ok(());
    }
    Err(Error::damaged(
        "the new file does not hold what the old one holds, which stays in its place; this is a fault of etcd-snap",
    )
    .with_detail("before", format!("{:?}", told(before)))
    .with_detail("after", format!("{:?}", told(after))))
}
