//! A look at a database while it is copied, carried over to the copy that was edited since.
//!
//! What [`look`](super::look) would read of the copy once more was judged while it passed: leaves, in the very buffers that were
//! written. Left are the branches, the small buckets and what the edit appended, which are read back from the copy. So the file
//! is read once, and yet what is said is said of the finished database.

use sha2::{Digest as _, Sha256};

use super::Contents;
use super::at::{Asked, Compactions};
use super::fast::{File, sum_up, threads};
use super::findings::{Findings, examine_metas};
use super::fingerprint::Fingerprints;
use super::hashes::Hashes;
use super::key_leaf::{Known, Tally, judge};
use super::look::{Looked, Wants, check_unreachable};
use super::once::Once;
use super::touched::{Place, Touching};
use crate::bbolt::{Leaves, Sweep, Swept};
use crate::observe::{Event, Observer, Phase, tell};
use crate::{Digest, Result, Revision, Snapshot};

/// What is made of a database while it is looked at.
pub(crate) trait Carry {
    /// The SHA-256 of the source is wanted.
    fn wants_digest(&self) -> bool;
    /// The revision of the one record, without a value, that the edit will put behind all others. Where it does otherwise, all
    /// is looked at once more.
    fn appended(&self, last: Revision, compacted: Option<Revision>) -> Option<Revision>;
    /// Writes a block.
    fn write(&mut self, at: u64, block: &[u8]) -> Result<()>;
    /// All is written: edits the copy and opens it.
    fn edit(&mut self, digest: Option<Digest>) -> Result<Snapshot>;
}

/// How far it came.
pub(crate) enum Carried {
    /// The copy is edited, and sound.
    Sound(Box<Looked>),
    /// It is edited, and nobody knows what it is worth.
    Edited(Box<Snapshot>),
    /// Something is odd, or too large: nothing was written.
    Nothing,
}

/// Memory for each page: the tables of the pass, and those of the copy that they are held against.
const BYTES_PER_PAGE: u64 = Leaves::BYTES_PER_PAGE + 12;

/// # Errors
/// Where the source cannot be read, the observer asked to stop, or the copy cannot be written or edited.
pub(crate) fn look_while_copied(
    source: &Snapshot,
    carry: &mut dyn Carry,
    findings: &mut Findings,
    observer: &dyn Observer,
) -> Result<Carried> {
    // Beside threads that each reserve address space with the allocator of most systems: within 256 MiB of that there must be
    // room for a restore.
    const TABLE_BYTES: u64 = 32 << 20;
    let wants = Wants {
        table_bytes: TABLE_BYTES,
        ..Wants::default()
    };
    let file = File::of(source, observer, Phase::Copy);
    let tables = file.end.saturating_mul(BYTES_PER_PAGE);
    let Some(mut memory) = wants.table_bytes.checked_sub(tables) else {
        return Ok(Carried::Nothing);
    };
    if file.page_size > Sweep::LARGEST_PAGE {
        return Ok(Carried::Nothing);
    }
    tell(observer, &Event::Started(Phase::Copy))?;
    let compactions = Compactions::read(source)?;
    let mut survey = Findings::new(findings.max_problems());
    let Some((walked, deferred, usage)) = file.survey(wants, compactions, &mut survey)? else {
        return Ok(Carried::Nothing);
    };
    let leaves = &deferred.leaves;
    let Some(last) = file.last_revision(leaves)? else {
        return Ok(Carried::Nothing);
    };

    // What counts, and what is alive, is decided for the store as it will be.
    let appended = carry.appended(last, compactions.compact_revision());
    let compactions = Compactions {
        scheduled: appended.or(compactions.scheduled),
        ..compactions
    };
    let at = Asked::default().at(compactions, appended.unwrap_or(last))?;
    let fingerprints = Fingerprints::new();
    let most = memory / Touching::BYTES;
    let also = |first: usize| {
        let place = Place::in_leaf(leaves.len().checked_sub(first)?, 0, false)?;
        appended.map(|_| (fingerprints.of(b""), place))
    };
    let touched = file.touched(leaves, compactions, at, &fingerprints, most, also)?;
    let Some((touched, first_touched)) = touched else {
        return Ok(Carried::Nothing);
    };
    memory = memory.saturating_sub(touched.len().saturating_mul(Touching::BYTES));
    let all = leaves.len().saturating_add(usize::from(appended.is_some()));
    let hashes = Hashes::new(all);
    let known = Known {
        snapshot: source,
        at,
        finished: compactions.finished,
        fingerprints: &fingerprints,
        leases: walked.lease_ids.as_deref(),
        touched: &touched,
        first_touched,
        once: compactions
            .finished
            .map(|_| Once::new(file.most_keys(leaves), memory)),
    };

    let bytes = source.meta().size_bytes();
    let progress = |done| file.tell(done, bytes);
    let sweep = Sweep {
        usage: Some(&usage),
        ..file.sweep(leaves, &progress)
    };
    let surveyed = usage.so_far();
    let (swept, hasher) = sweep.run_beside(
        bytes,
        carry.wants_digest().then(Sha256::new),
        |hasher, block| {
            if let Some(hasher) = hasher {
                hasher.update(block);
            }
        },
        &mut |at, block| carry.write(at, block),
        Tally::new(&known),
        |tally, leaf, page| judge(&known, leaves, &hashes, tally, leaf, page),
    )?;
    let digest = hasher.map(|hasher| Digest::new(hasher.finalize().into()));
    let edited = Box::new(carry.edit(digest)?);
    let Swept::Sound(tally) = swept else {
        return Ok(Carried::Edited(edited));
    };

    tell(observer, &Event::Started(Phase::Check))?;
    let new = File::of(&edited, observer, Phase::Check);
    let now = Compactions::read(&edited)?;
    let mut survey = Findings::new(findings.max_problems());
    let Some((walked, new_deferred, new_usage)) = new.survey(wants, now, &mut survey)? else {
        return Ok(Carried::Edited(edited));
    };
    let new_leaves = &new_deferred.leaves;
    let is_as_foreseen = new_leaves.len() == all
        && new_leaves.continue_those_of(leaves)
        && now == compactions
        // Where they are too many to be held, they are looked up in a file that may have others by now.
        && known.leases.is_some()
        && walked.lease_ids.as_deref() == known.leases;
    let last_now = new.last_revision(new_leaves)?;
    if !is_as_foreseen || last_now != Some(appended.unwrap_or(last)) {
        return Ok(Carried::Edited(edited));
    }
    let known = Known {
        snapshot: &edited,
        leases: walked.lease_ids.as_deref(),
        ..known
    };
    let quiet = |_| Ok(());
    let appendix = Sweep {
        from: leaves.len(),
        usage: Some(&new_usage),
        ..new.sweep(new_leaves, &quiet)
    }
    .run(
        1,
        || Tally::new(&known),
        |tally, leaf, page| judge(&known, new_leaves, &hashes, tally, leaf, page),
    )?;
    let (Swept::Sound(mut tallies), true) = (appendix, new_usage.claim_since(&usage, &surveyed))
    else {
        return Ok(Carried::Edited(edited));
    };
    // The last leaf had no bound above it when it was judged.
    if tally.last != Some(last) || appended.is_some_and(|appended| appended <= last) {
        return Ok(Carried::Edited(edited));
    }
    tallies.push(tally);

    let mut unreachable = false;
    check_unreachable(&edited, &new_usage, &mut |_| unreachable = true);
    let Some(tally) = Tally::sum(tallies) else {
        return Ok(Carried::Edited(edited));
    };
    let live = tally.live_below.saturating_add(touched.live());
    // Without any live key obsolete records count after all.
    let needs_all = live == 0 && tally.left_out;
    if unreachable || needs_all || tally.last != last_now {
        return Ok(Carried::Edited(edited));
    }
    examine_metas(&edited, findings);
    survey.give_to(findings);
    let key = hashes.join(&tally.exceptions, threads());
    let contents = sum_up(
        walked.contents,
        walked.largest,
        &new_deferred,
        key,
        tally,
        at,
    );
    let total = edited.meta().size_bytes();
    new.tell(total, total)?;
    Ok(Carried::Sound(Box::new(Looked {
        contents: Contents {
            revision: last_now.unwrap_or_default(),
            live_keys: live,
            free_pages: new_usage.free(),
            total_size_bytes: total,
            ..contents
        },
        digest,
    })))
}
