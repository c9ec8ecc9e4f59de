//! A sound database that is too large for the tables of the pass in file order: in the order of the tree, with the memory of a
//! few pages, and with the same knowledge of which records count.

use super::at::{At, Compactions};
use super::changes::{fingerprint_of, shape_of};
use super::findings::Findings;
use super::fingerprint::Fingerprints;
use super::key_leaf::{Change, Known, Tally};
use super::look::{Looked, Progress, Wants, check, check_unreachable};
use super::once::Once;
use super::records::{Records, Walked};
use super::touched::{Place, Touched, Touching};
use crate::backend::{PackedRevision, RevisionKey, bucket};
use crate::bbolt::{Follow, PageError, Record, Visitor};
use crate::{HashKv, Problem, Result, Revision, Severity, Snapshot};

/// For tables, together: what is left of 64 MiB beside what a bit or two for each page take.
const MOST_TABLE_BYTES: u64 = 44 << 20;

/// `None`: something is odd; the walk that takes nothing for granted finds out what.
pub(super) fn look(
    snapshot: &Snapshot,
    wants: Wants,
    findings: &mut Findings,
    progress: Progress<'_>,
) -> Result<Option<Looked>> {
    let asked = wants.hash_kv;
    let most = wants.table_bytes.min(MOST_TABLE_BYTES);
    let compactions = Compactions::read(snapshot)?;
    let fingerprints = Fingerprints::new();
    let upto = asked.revision.unwrap_or(PackedRevision::LAST);
    let Some(touched) = touched(snapshot, compactions, upto, &fingerprints, most, progress)? else {
        return Ok(None);
    };
    let memory = touched.len().saturating_mul(Touching::BYTES);
    let memory = most.saturating_sub(memory);
    let known = Known {
        snapshot,
        at: At {
            revision: upto,
            compact_revision: asked.compact_revision.or(compactions.compact_revision()),
        },
        finished: compactions.finished,
        fingerprints: &fingerprints,
        leases: None,
        touched: &touched,
        first_touched: 0,
        once: compactions
            .finished
            .map(|_| Once::new(snapshot.meta().high_water.get().saturating_mul(8), memory)),
    };

    let mut survey = Findings::new(findings.max_problems());
    let mut records = Records::new(
        snapshot,
        known.at,
        |problem| survey.problem(problem),
        progress,
    )?
    .counting_with(Counting::new(&known));
    let usage = check(snapshot, &mut records)?;
    check_unreachable(snapshot, &usage, &mut |problem| records.problem(problem));
    let last = records.last_revision();
    let hash = records.hash_kv();
    let counting = records.take_counting();
    let Walked {
        mut contents,
        largest,
        ..
    } = records.finish();
    let is_sound = survey.worst() < Some(Severity::Damaged);
    let Some(counting) = counting.filter(|counting| is_sound && !counting.is_odd()) else {
        return Ok(None);
    };
    contents.live_keys = counting.live_keys();
    if contents.live_keys == 0 && counting.left_out() {
        return Ok(None);
    }
    survey.give_to(findings);
    let at = asked.at(compactions, last)?;
    contents.hash_kv = hash.map(|hash| HashKv::new(hash, at));
    contents.largest_records = largest.into_vec();
    contents.free_pages = usage.free();
    Ok(Some(Looked {
        contents,
        digest: None,
    }))
}

/// Decides which records count while a walk goes by.
pub(super) struct Counting<'a> {
    known: &'a Known<'a>,
    tally: Tally<'a>,
    /// Changes above the finished compaction, up to the revision of the hash, so far.
    above: u64,
    odd: bool,
}

impl<'a> Counting<'a> {
    fn new(known: &'a Known<'a>) -> Self {
        Self {
            known,
            tally: Tally::new(known),
            above: 0,
            odd: false,
        }
    }

    pub(super) fn fingerprints(&self) -> &Fingerprints {
        self.known.fingerprints
    }

    /// Whether a record counts for HashKV.
    pub(super) fn count(&mut self, revision: RevisionKey, key: u128, lease: i64) -> bool {
        let counts = revision.packed().and_then(|packed| {
            let below = Some(revision.main) <= self.known.finished;
            if below && !self.known.once.as_ref()?.come(std::iter::once(key)) {
                return None;
            }
            let mut place = None;
            if !below && revision.main <= self.known.at.revision {
                place = Some(Place::nth(self.above, revision.tombstone)?);
                self.above = self.above.saturating_add(1);
            }
            let change = Change {
                revision: packed,
                key,
                lease,
                place,
                may_be_touched: self.known.touched.may_have(key),
            };
            self.tally.count(self.known, &change)
        });
        self.odd |= counts.is_none();
        counts.unwrap_or_default()
    }

    fn is_odd(&self) -> bool {
        self.odd
    }

    fn left_out(&self) -> bool {
        self.tally.left_out
    }

    fn live_keys(&self) -> u64 {
        self.tally
            .live_below
            .saturating_add(self.known.touched.live())
    }
}

/// The keys that were touched since the finished compaction; `None`: odd, or too many.
fn touched(
    snapshot: &Snapshot,
    compactions: Compactions,
    upto: Revision,
    fingerprints: &Fingerprints,
    most_bytes: u64,
    progress: Progress<'_>,
) -> Result<Option<Touched>> {
    let finished = compactions.finished.unwrap_or_default();
    let (Some(above), Some(upto)) = (
        PackedRevision::last_of(finished),
        PackedRevision::last_of(upto),
    ) else {
        return Ok(None);
    };
    let mut touching = LastLeaves {
        above,
        upto,
        fingerprints,
        // While they are sorted, the other tables are not there yet.
        most: most_bytes / Touching::BYTES,
        progress,
        touching: Touching::default(),
        in_key_bucket: false,
        odd: false,
    };
    check(snapshot, &mut touching)?;
    Ok((!touching.odd).then(|| Touched::sum(vec![touching.touching])))
}

/// Goes to the last leaves of the `key` bucket only.
struct LastLeaves<'a> {
    above: PackedRevision,
    upto: PackedRevision,
    fingerprints: &'a Fingerprints,
    most: u64,
    progress: Progress<'a>,
    touching: Touching,
    in_key_bucket: bool,
    odd: bool,
}

impl Visitor for LastLeaves<'_> {
    fn bucket(&mut self, name: &[u8]) -> Result<Follow> {
        self.in_key_bucket = name == bucket::KEY;
        Ok(if self.in_key_bucket {
            Follow::Records
        } else {
            Follow::Nothing
        })
    }

    fn bucket_end(&mut self) {
        self.in_key_bucket = false;
    }

    fn wants_below(&self, bound: &[u8]) -> bool {
        let packed = RevisionKey::parse(bound).ok().and_then(RevisionKey::packed);
        !self.in_key_bucket || packed.is_none_or(|bound| bound > self.above)
    }

    fn record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError> {
        let change = RevisionKey::parse(record.key)
            .ok()
            .and_then(RevisionKey::packed);
        self.odd |= change.is_none() || record.nesting > 0;
        let Some(change) = change.filter(|change| *change > self.above && *change <= self.upto)
        else {
            return Ok(());
        };
        let place = Place::nth(self.touching.len(), change.is_tombstone());
        match (shape_of(record)?, place) {
            (Ok(shape), Some(place)) if self.touching.len() < self.most => {
                let key = fingerprint_of(record, &shape, self.fingerprints)?;
                self.touching.touch(key, place);
            }
            _ => self.odd = true,
        }
        Ok(())
    }

    fn problem(&mut self, _: Problem) {
        self.odd = true;
    }

    fn progress(&mut self, _: u64, total: u64) -> Result<()> {
        (self.progress)(0, total)
    }
}
