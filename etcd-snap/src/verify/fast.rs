//! A sound database in one pass, in the order of the file.
//!
//! The branches of the `key` bucket, a hundredth of the file, give the order of its leaves and the keys that bound each one. So
//! every leaf can be judged where it lies, by any thread. It gives one CRC; joined in the order of the tree they are the hashes.
//!
//! Which records count for HashKV, and which keys live, is known without a set of all keys: a finished compaction leaves one
//! record of a key, so that below it only keys which were touched since have a newer one. They are in the last leaves, which
//! are read first. That each key comes once below the compaction is checked, not believed.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI64, Ordering};

use sha2::{Digest as _, Sha256};

use super::Contents;
use super::at::{At, Compactions};
use super::contents::Largest;
use super::crc_join::Joiner;
use super::findings::Findings;
use super::fingerprint::Fingerprints;
use super::hashes::{Hashes, Joined};
use super::key_leaf::{Known, Tally, judge, user_key};
use super::look::{Looked, Wants, check, check_unreachable};
use super::once::Once;
use super::records::{Deferred, Records, Walked};
use super::touched::{Place, Touched, Touching};
use crate::backend::{PackedRevision, RevisionKey, bucket};
use crate::bbolt::{LeafRecord, Leaves, Sweep, Swept, Usage};
use crate::observe::{Event, Observer, Phase, tell};
use crate::{Digest, HashKv, Result, Revision, Severity, Snapshot};

const MOST_THREADS: usize = 4;

/// What came of it.
pub(super) enum Fast {
    Sound(Box<Looked>),
    /// Something is odd, or too large. The digest is there if the whole file was read.
    LookCloser {
        digest: Option<Digest>,
    },
    /// The tables for so many pages would take too much memory.
    TooLarge,
}

const LOOK_CLOSER: Result<Fast> = Ok(Fast::LookCloser { digest: None });

pub(super) fn look(
    snapshot: &Snapshot,
    wants: Wants,
    findings: &mut Findings,
    observer: &dyn Observer,
) -> Result<Fast> {
    let file = File::of(snapshot, observer, Phase::Check);
    if file.page_size > Sweep::LARGEST_PAGE {
        return Ok(Fast::TooLarge);
    }
    let Some(mut memory) = wants
        .table_bytes
        .checked_sub(file.end.saturating_mul(Leaves::BYTES_PER_PAGE))
    else {
        return Ok(Fast::TooLarge);
    };
    let compactions = Compactions::read(snapshot)?;
    let mut survey = Findings::new(findings.max_problems());
    let Some((walked, deferred, usage)) = file.survey(wants, compactions, &mut survey)? else {
        return LOOK_CLOSER;
    };
    let leaves = &deferred.leaves;
    let Some(last) = file.last_revision(leaves)? else {
        return LOOK_CLOSER;
    };
    let at = wants.hash_kv.at(compactions, last)?;

    let fingerprints = Fingerprints::new();
    let most = memory / Touching::BYTES;
    let touched = file.touched(leaves, compactions, at, &fingerprints, most, |_| None)?;
    let Some((touched, first_touched)) = touched else {
        return LOOK_CLOSER;
    };
    memory = memory.saturating_sub(touched.len().saturating_mul(Touching::BYTES));

    let hashes = Hashes::new(leaves.len());
    let known = Known {
        snapshot,
        at,
        finished: compactions.finished,
        fingerprints: &fingerprints,
        leases: walked.lease_ids.as_deref(),
        touched: &touched,
        first_touched,
        // Keys are not counted yet; leaves are full enough of them that these are not too few.
        once: compactions
            .finished
            .map(|_| Once::new(file.most_keys(leaves), memory)),
    };
    let (tallies, digest) = match file.judge(&known, leaves, &hashes, &usage, wants.digest)? {
        (Swept::Sound(tallies), digest) => (tallies, digest),
        (Swept::Odd, digest) => return Ok(Fast::LookCloser { digest }),
    };

    let mut unreachable = false;
    check_unreachable(snapshot, &usage, &mut |_| unreachable = true);
    let Some(tally) = Tally::sum(tallies) else {
        return Ok(Fast::LookCloser { digest });
    };
    let live = tally.live_below.saturating_add(touched.live());
    // Without any live key obsolete records count after all.
    let needs_all = live == 0 && tally.left_out;
    if unreachable || needs_all || tally.last != Some(last) {
        return Ok(Fast::LookCloser { digest });
    }
    survey.give_to(findings);
    let key = hashes.join(&tally.exceptions, threads());
    let contents = sum_up(walked.contents, walked.largest, &deferred, key, tally, at);
    Ok(Fast::Sound(Box::new(Looked {
        contents: Contents {
            revision: last,
            live_keys: live,
            free_pages: usage.free(),
            ..contents
        },
        digest,
    })))
}

/// The file that is looked at.
pub(super) struct File<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) observer: &'a dyn Observer,
    pub(super) phase: Phase,
    pub(super) page_size: u64,
    /// One past the last page that there is.
    pub(super) end: u64,
}

impl<'a> File<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, observer: &'a dyn Observer, phase: Phase) -> Self {
        let meta = snapshot.meta();
        let page_size = u64::from(meta.page_size);
        let there = snapshot.database_bytes().checked_div(page_size);
        Self {
            snapshot,
            observer,
            phase,
            page_size,
            end: meta.high_water.get().min(there.unwrap_or_default()),
        }
    }

    pub(super) fn tell(&self, done_bytes: u64, total_bytes: u64) -> Result<()> {
        let event = Event::Progress {
            phase: self.phase,
            done_bytes: done_bytes.min(total_bytes),
            total_bytes,
        };
        tell(self.observer, &event)
    }

    /// Everything but the leaves of the `key` bucket. `None`: odd, or there are none below a branch.
    pub(super) fn survey(
        &self,
        wants: Wants,
        compactions: Compactions,
        survey: &mut Findings,
    ) -> Result<Option<(Walked, Deferred, Usage)>> {
        let Some(leaves) = Leaves::new(self.end) else {
            return Ok(None);
        };
        let at = At {
            revision: wants.hash_kv.revision.unwrap_or_default(),
            compact_revision: compactions.compact_revision(),
        };
        let bytes = self.end.saturating_mul(self.page_size);
        let progress = |_, _| self.tell(0, bytes);
        let records = Records::new(
            self.snapshot,
            at,
            |problem| survey.problem(problem),
            &progress,
        )?;
        let mut records = records.deferring(leaves);
        let usage = check(self.snapshot, &mut records)?;
        let mut walked = records.finish();
        let sound = survey.worst() < Some(Severity::Damaged);
        let deferred = walked
            .deferred
            .take()
            .filter(|deferred| sound && deferred.is_plain && deferred.leaves.len() > 0);
        Ok(deferred.map(|deferred| (walked, deferred, usage)))
    }

    pub(super) fn sweep<'s>(
        &'s self,
        leaves: &'s Leaves,
        progress: &'s (dyn Fn(u64) -> Result<()> + Sync),
    ) -> Sweep<'s> {
        Sweep {
            source: self.snapshot.source().as_ref(),
            name: self.snapshot.name(),
            page_size: self.page_size,
            end: self.end,
            leaves,
            from: 0,
            usage: None,
            progress,
        }
    }

    /// The main revision of the last record. `None`: odd.
    pub(super) fn last_revision(&self, leaves: &Leaves) -> Result<Option<Revision>> {
        let progress = |_| self.tell(0, self.end.saturating_mul(self.page_size));
        let sweep = Sweep {
            from: leaves.len().saturating_sub(1),
            ..self.sweep(leaves, &progress)
        };
        let swept = sweep.run(
            1,
            || None,
            |last, _, page| {
                let record = page.records().last().flatten();
                *last = record.and_then(|record| RevisionKey::parse(record.key).ok());
                last.is_some()
            },
        )?;
        Ok(match swept {
            Swept::Sound(last) => last.into_iter().flatten().next().map(|last| last.main),
            Swept::Odd => None,
        })
    }

    /// The keys that were touched between the finished compaction and the revision of the hash, and the first leaf that may
    /// hold such a change. `also` is asked, with that leaf, for a change that is not in the file. `None`: odd, or too many.
    pub(super) fn touched(
        &self,
        leaves: &Leaves,
        compactions: Compactions,
        at: At,
        fingerprints: &Fingerprints,
        most: u64,
        also: impl FnOnce(usize) -> Option<(u128, Place)>,
    ) -> Result<Option<(Touched, usize)>> {
        let finished = compactions.finished.unwrap_or_default();
        let (Some(above), Some(upto)) = (
            PackedRevision::last_of(finished),
            PackedRevision::last_of(at.revision),
        ) else {
            return Ok(None);
        };
        let progress = |_| self.tell(0, self.end.saturating_mul(self.page_size));
        let first = leaves.first_above(above.bits());
        let sweep = Sweep {
            from: first,
            ..self.sweep(leaves, &progress)
        };
        let room = AtomicI64::new(i64::try_from(most).unwrap_or(i64::MAX));
        let swept = sweep.run(threads(), Touching::default, |touching, leaf, page| {
            let before = touching.len();
            let leaf = leaf.saturating_sub(first);
            let sound = page.records().enumerate().all(|(number, record)| {
                let touched = touch(touching, leaf, number, record, above..=upto, fingerprints);
                touched.is_some()
            });
            let new = touching.len().saturating_sub(before);
            let room = room.fetch_sub(i64::try_from(new).unwrap_or(i64::MAX), Ordering::Relaxed);
            sound && room > 0
        })?;
        Ok(match swept {
            Swept::Sound(mut parts) => {
                if let (Some((key, place)), Some(part)) = (also(first), parts.first_mut()) {
                    part.touch(key, place);
                }
                Some((Touched::sum(parts), first))
            }
            Swept::Odd => None,
        })
    }

    /// About how many records there are, and rather too many: from some of the leaves.
    pub(super) fn most_keys(&self, leaves: &Leaves) -> u64 {
        const SAMPLE: usize = 256;
        let mut head = [0; 16];
        let mut sampled = 0_u64;
        let mut records = 0_u64;
        for page in leaves.some(SAMPLE) {
            let at = page.get().saturating_mul(self.page_size);
            // What cannot be read is found out later.
            let Ok(16) = self.snapshot.source().read_at(&mut head, at) else {
                continue;
            };
            let [.., low, high, _, _, _, _] = head;
            sampled = sampled.saturating_add(1);
            records = records.saturating_add(u64::from(u16::from_le_bytes([low, high])));
        }
        let all = records.saturating_mul(leaves.len() as u64);
        all.checked_div(sampled)
            .unwrap_or_default()
            .saturating_mul(9)
            .div_ceil(8)
    }

    /// All leaves, and the digest where it is wanted: then on one thread beside the one that hashes, else on several.
    fn judge(
        &self,
        known: &Known<'a>,
        leaves: &Leaves,
        hashes: &Hashes,
        usage: &Usage,
        digest: bool,
    ) -> Result<(Swept<Vec<Tally<'a>>>, Option<Digest>)> {
        let total = if digest {
            self.snapshot.database_bytes()
        } else {
            self.end.saturating_mul(self.page_size)
        };
        let progress = |done| self.tell(done, total);
        let sweep = Sweep {
            usage: Some(usage),
            ..self.sweep(leaves, &progress)
        };
        if !digest {
            let swept = sweep.run(
                threads(),
                || Tally::new(known),
                |tally, leaf, page| judge(known, leaves, hashes, tally, leaf, page),
            )?;
            self.tell(total, total)?;
            return Ok((swept, None));
        }
        let (swept, hasher) = sweep.run_beside(
            total,
            Sha256::new(),
            |hasher, block| hasher.update(block),
            &mut |_, _| Ok(()),
            Tally::new(known),
            |tally, leaf, page| judge(known, leaves, hashes, tally, leaf, page),
        )?;
        let swept = match swept {
            Swept::Sound(tally) => Swept::Sound(vec![tally]),
            Swept::Odd => Swept::Odd,
        };
        Ok((swept, Some(Digest::new(hasher.finalize().into()))))
    }
}

pub(super) fn threads() -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST_THREADS)
}

/// A record that may be a change within a range. `None`: odd.
fn touch(
    touching: &mut Touching,
    leaf: usize,
    number: usize,
    record: Option<LeafRecord<'_>>,
    range: RangeInclusive<PackedRevision>,
    fingerprints: &Fingerprints,
) -> Option<()> {
    let record = record?;
    let change = RevisionKey::parse(record.key).ok()?.packed()?;
    if change > *range.start() && change <= *range.end() {
        let place = Place::in_leaf(leaf, number, change.is_tombstone())?;
        touching.touch(fingerprints.of(user_key(record.value)?), place);
    }
    Some(())
}

/// Joins the hashes, and adds what the leaves hold to what the survey found.
pub(super) fn sum_up(
    mut contents: Contents,
    mut largest: Largest,
    deferred: &Deferred,
    key: Joined,
    tally: Tally<'_>,
    at: At,
) -> Contents {
    let mut joiner = Joiner::new();
    let hash = joiner.join(deferred.hash_before, key.all.crc, key.all.bytes);
    contents.hash = joiner.join(hash, contents.hash, deferred.bytes_behind);
    let name = crc32c::crc32c(bucket::KEY);
    let hash_kv = joiner.join(name, key.counting.crc, key.counting.bytes);
    contents.hash_kv = Some(HashKv::new(hash_kv, at));
    contents.total_records = contents.total_records.saturating_add(tally.records);
    let key_bucket = contents
        .buckets
        .iter_mut()
        .find(|contents| contents.name.as_bytes() == bucket::KEY);
    if let Some(contents) = key_bucket {
        contents.records = contents.records.saturating_add(tally.records);
        contents.data_bytes = contents.data_bytes.saturating_add(key.all.bytes);
        contents.pages = contents.pages.saturating_add(tally.pages);
    }
    largest.merge(tally.largest);
    contents.largest_records = largest.into_vec();
    contents
}
