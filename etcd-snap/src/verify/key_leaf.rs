//! One leaf of the `key` bucket, judged on its own.

use super::at::At;
use super::changes::contradiction;
use super::contents::Largest;
use super::fingerprint::Fingerprints;
use super::hashes::{Exceptions, Hashes, Part};
use super::leases::Leases;
use super::once::Once;
use super::touched::{Place, Touched};
use crate::backend::{KeyValueShape, PackedRevision, RevisionKey};
use crate::bbolt::{Bounds, LeafPage, Leaves};
use crate::{Revision, Snapshot};

/// Leaves of which only a part counts for HashKV, that are held at a time.
const MOST_IN_PART: usize = 1 << 18;

/// What is known before the leaves are read.
pub(super) struct Known<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) at: At,
    /// The compaction that left one record of each key.
    pub(super) finished: Option<Revision>,
    pub(super) fingerprints: &'a Fingerprints,
    /// All leases in ascending order; `None`: each is looked up.
    pub(super) leases: Option<&'a [i64]>,
    /// The keys that were touched since, up to the revision of the hash.
    pub(super) touched: &'a Touched,
    /// The first leaf that may hold such a change.
    pub(super) first_touched: usize,
    pub(super) once: Option<Once>,
}

/// What one thread has counted.
pub(super) struct Tally<'a> {
    leases: Option<Leases<'a>>,
    /// Records of the leaf in view.
    in_view: Vec<InView>,
    pub(super) records: u64,
    pub(super) pages: u64,
    /// Keys that live and were not touched since the finished compaction.
    pub(super) live_below: u64,
    /// A record was left out of HashKV because it is not the newest of its key, or a delete.
    pub(super) left_out: bool,
    pub(super) last: Option<Revision>,
    pub(super) largest: Largest,
    pub(super) exceptions: Exceptions,
}

impl<'a> Tally<'a> {
    pub(super) fn new(known: &Known<'a>) -> Self {
        Self {
            // Where the bucket cannot be read, the first key that asks is odd.
            leases: Leases::of(known.snapshot).ok(),
            in_view: Vec::new(),
            records: 0,
            pages: 0,
            live_below: 0,
            left_out: false,
            last: None,
            largest: Largest::default(),
            exceptions: Exceptions::default(),
        }
    }

    /// All together; lists in the order of leaves.
    pub(super) fn sum(tallies: Vec<Self>) -> Option<Self> {
        let mut sum = tallies.into_iter().reduce(|mut sum, other| {
            sum.records = sum.records.saturating_add(other.records);
            sum.pages = sum.pages.saturating_add(other.pages);
            sum.live_below = sum.live_below.saturating_add(other.live_below);
            sum.left_out |= other.left_out;
            sum.last = sum.last.max(other.last);
            sum.largest.merge(other.largest);
            sum.exceptions.extend(other.exceptions);
            sum
        })?;
        sum.exceptions.sort();
        Some(sum)
    }
}

/// The user's key in the value of a record; `None` of what does not decode.
pub(super) fn user_key(value: &[u8]) -> Option<&[u8]> {
    let shape = KeyValueShape::of(value).ok()?;
    value.get(shape.key.start as usize..shape.key.end as usize)
}

/// Counts and hashes one leaf. `false`: something in it is odd.
pub(super) fn judge<'a>(
    known: &Known<'a>,
    leaves: &Leaves,
    hashes: &Hashes,
    tally: &mut Tally<'a>,
    leaf: usize,
    page: &LeafPage<'_>,
) -> bool {
    try_judge(known, leaves, hashes, tally, leaf, page).is_some()
}

/// A change, as far as it decides what counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) revision: PackedRevision,
    /// Of the user's key.
    pub(super) key: u128,
    pub(super) lease: i64,
    /// Where it stands among those above the finished compaction; `None` below it.
    pub(super) place: Option<Place>,
    /// The key may have been touched since the finished compaction.
    pub(super) may_be_touched: bool,
}

/// A record that is sound in itself, and where it stands.
#[derive(Debug, Clone, Copy)]
struct InView {
    change: Change,
    start: usize,
    end: usize,
}

fn try_judge<'a>(
    known: &Known<'a>,
    leaves: &Leaves,
    hashes: &Hashes,
    tally: &mut Tally<'a>,
    leaf: usize,
    page: &LeafPage<'_>,
) -> Option<()> {
    let mut in_view = std::mem::take(&mut tally.in_view);
    in_view.clear();
    let bounds = leaves.bounds(leaf)?;
    tally.view(known, bounds, page, &mut in_view)?;
    for (number, InView { change, .. }) in in_view.iter_mut().enumerate() {
        if Some(change.revision.main()) > known.finished {
            let leaf = leaf.checked_sub(known.first_touched)?;
            change.place = Place::in_leaf(leaf, number, change.revision.is_tombstone());
        }
    }
    // Two rounds over tables that are larger than the processor's caches, each of which asks for all keys at once.
    if let Some(once) = &known.once {
        let keys = in_view
            .iter()
            .filter(|record| Some(record.change.revision.main()) <= known.finished)
            .map(|record| record.change.key);
        if !once.come(keys) {
            return None;
        }
    }
    for record in &mut in_view {
        record.change.may_be_touched = known.touched.may_have(record.change.key);
    }

    let mut status = Run::default();
    let mut counting = Run::default();
    let mut whole = true;
    for record in &in_view {
        status.take(page, record.start, record.end)?;
        if tally.count(known, &record.change)? {
            counting.take(page, record.start, record.end)?;
        } else {
            whole = false;
        }
    }
    // bbolt leaves no leaf empty below a branch; the walk may say what it thinks of that.
    let last = in_view.last()?.change.revision.main();
    tally.last = tally.last.max(Some(last));
    tally.records = tally.records.saturating_add(in_view.len() as u64);
    tally.pages = tally.pages.saturating_add(page.pages());
    let status = status.finish(page)?;
    hashes.set(leaf, status, &mut tally.exceptions);
    if !whole {
        let in_part = &mut tally.exceptions.in_part;
        in_part.push((leaf, counting.finish(page)?));
        if in_part.len() > MOST_IN_PART {
            return None;
        }
    }
    tally.in_view = in_view;
    Some(())
}

impl<'a> Tally<'a> {
    /// Every record of a leaf, on its own and in its place. `None`: odd.
    fn view(
        &mut self,
        known: &Known<'a>,
        bounds: Bounds,
        page: &LeafPage<'_>,
        in_view: &mut Vec<InView>,
    ) -> Option<()> {
        let below = PackedRevision::from_bits(bounds.below);
        let mut before: Option<PackedRevision> = None;
        for record in page.records() {
            let record = record?;
            let revision = RevisionKey::parse(record.key).ok()?;
            let change = revision.packed()?;
            let in_order = match before {
                Some(before) => change.is_after(before),
                None => change.bits() >= bounds.least,
            };
            // The greatest bound of all stands for none.
            let in_bounds = bounds.below == u64::MAX || below.is_after(change);
            if !in_order || !in_bounds || revision.main.get() == 0 {
                return None;
            }
            before = Some(change);
            let shape = KeyValueShape::of(record.value).ok()?;
            let len = u32::try_from(record.value.len()).ok()?;
            if contradiction(revision, &shape, len).is_some() {
                return None;
            }
            let key = shape.key.start as usize..shape.key.end as usize;
            let key = record.value.get(key)?;
            let size = u64::from(len);
            if self.largest.takes(size, revision.main) {
                self.largest.insert(size, revision.main, key);
            }
            in_view.push(InView {
                change: Change {
                    revision: change,
                    key: known.fingerprints.of(key),
                    lease: shape.lease,
                    place: None,
                    may_be_touched: false,
                },
                start: record.start,
                end: record.end,
            });
        }
        Some(())
    }

    /// Whether a record counts for HashKV (formats.md 4.2). `None`: odd.
    pub(super) fn count(&mut self, known: &Known<'_>, change: &Change) -> Option<bool> {
        let At {
            revision,
            compact_revision,
        } = known.at;
        let newest = || {
            known
                .touched
                .newest(change.key)
                .filter(|_| change.may_be_touched)
        };
        let main = change.revision.main();
        if Some(main) <= known.finished {
            if change.revision.is_tombstone() {
                // Of the deletes up to a compaction only one at its own revision may be left.
                self.left_out = true;
                return (Some(main) == known.finished).then_some(false);
            }
            if change.may_be_touched && newest().is_some() {
                self.left_out = true;
                return Some(false);
            }
            self.live_below = self.live_below.saturating_add(1);
            self.has_lease(known, change.lease)?;
            return Some(true);
        }
        if main > revision {
            return Some(false);
        }
        let is_live = newest()? == change.place? && !change.revision.is_tombstone();
        if is_live {
            self.has_lease(known, change.lease)?;
        }
        if Some(main) <= compact_revision && !is_live {
            self.left_out = true;
            return Some(false);
        }
        Some(true)
    }

    /// `None`: the lease of a key that lives is not there, or nobody can tell.
    fn has_lease(&mut self, known: &Known<'_>, lease: i64) -> Option<()> {
        let there = match known.leases {
            _ if lease == 0 => true,
            Some(leases) => leases.binary_search(&lease).is_ok(),
            None => self.leases.as_mut()?.has(lease).ok().flatten()?,
        };
        there.then_some(())
    }
}

/// Hashes records that lie one behind the other in one go.
#[derive(Debug, Default)]
struct Run {
    crc: u32,
    bytes: u64,
    start: usize,
    end: usize,
}

impl Run {
    fn take(&mut self, page: &LeafPage<'_>, start: usize, end: usize) -> Option<()> {
        if start != self.end {
            self.hash(page)?;
            self.start = start;
        }
        self.end = end;
        Some(())
    }

    fn hash(&mut self, page: &LeafPage<'_>) -> Option<()> {
        let bytes = page.bytes(self.start..self.end)?;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Some(())
    }

    fn finish(mut self, page: &LeafPage<'_>) -> Option<Part> {
        self.hash(page)?;
        Some(Part {
            crc: self.crc,
            bytes: self.bytes,
        })
    }
}
