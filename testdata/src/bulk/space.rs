//! Where pages lie: in the order in which bbolt's allocator leaves the pages of a database that has lived.
//!
//! Measured on servers with churn and compactions: the next leaf is the next page in a third of the cases, lies behind in a
//! quarter to a third, and where it is neither, it may be anywhere in the file. So the file is parted into lanes that are
//! all written from their beginnings to their ends. Some leaves in a row go into a lane, then the lane changes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};

use crate::database::Random;

/// The only page size of the servers that most people run.
pub(super) const PAGE: usize = 4096;

const MOST_LANES: u64 = 512;
const LEAST_LANE_PAGES: u64 = 256;
/// A lane with less room than this is full: few leaves would fit.
const FULL_PAGES: u64 = 8;
/// What a lane gathers before it is written.
const LANE_BUFFER_BYTES: usize = 32 << 10;

/// Of 1000 leaves, how many come right behind the one before.
const NEXT: usize = 330;
/// Of 10 groups of lanes, how many have three members and not two. Lanes of a group ascend, and where one group ends and the
/// next begins, the way mostly leads back.
const LONG_GROUPS: usize = 1;
/// Of 1000 pages, how many are free ones between those in use.
const FREE: u64 = 85;

/// A page in the making: its image begins with a header without an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A leaf whose neighbours matter.
    Leaf,
    /// Anything else.
    Other,
}

/// A part of the file.
#[derive(Debug)]
struct Lane {
    /// The next page that is neither written nor in the buffer.
    next: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl Lane {
    fn new(first: u64, end: u64) -> Self {
        Self {
            next: first,
            end,
            buffer: Vec::new(),
        }
    }

    fn left(&self) -> u64 {
        self.end - self.next
    }
}

/// The order of the leaves that came out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Order {
    pub(super) leaves: u64,
    /// How many lie right behind the one before.
    pub(super) next: u64,
    /// How many lie anywhere before the one before.
    pub(super) behind: u64,
}

/// All pages of a file but the metas.
#[derive(Debug)]
pub(super) struct Space {
    file: File,
    lanes: Vec<Lane>,
    /// What fits nowhere else, and grows the file.
    tail: Lane,
    hole: Range<u64>,
    /// Pages of the lanes that are given to nobody yet.
    left: u64,
    random: Random,
    /// The lanes of the current group that are still to come, the last one first.
    group: Vec<usize>,
    current: usize,
    last_leaf: Option<(u64, u64)>,
    /// What a page was before it was freed.
    stale: Vec<u8>,
    free: u64,
    /// Thousandths of pages that ought to be free and are not yet.
    owed: u64,
    /// How many lie in a row where they come next.
    gap: u64,
    order: Order,
}

impl Space {
    /// For a file of about so many pages, with a hole of some more before the last ones.
    pub(super) fn new(file: File, pages: u64, hole: u64, seed: u64) -> Self {
        let pages = pages.max(LEAST_LANE_PAGES);
        let count = (pages / LEAST_LANE_PAGES).clamp(1, MOST_LANES);
        let bound = |lane: u64| 2 + pages * lane / count;
        let lanes: Vec<_> = (0..count)
            .map(|lane| Lane::new(bound(lane), bound(lane + 1)))
            .collect();
        Self {
            file,
            lanes,
            tail: Lane::new(2 + pages + hole, u64::MAX),
            hole: 2 + pages..2 + pages + hole,
            left: pages,
            random: Random::new(seed),
            group: Vec::new(),
            current: 0,
            last_leaf: None,
            stale: vec![0; PAGE],
            free: hole,
            owed: 0,
            gap: 1,
            order: Order::default(),
        }
    }

    /// Pages that the file has left before it grows beyond what was asked for.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Pages that are never written.
    pub(super) fn hole(&self) -> Range<u64> {
        self.hole.clone()
    }

    /// Gives the page its id and writes it. The image may end anywhere in its last page.
    pub(super) fn place(&mut self, role: Role, image: &mut [u8]) -> Result<u64> {
        let extent = image.len().div_ceil(PAGE) as u64;
        let lane = match role {
            Role::Leaf => self.lane_of_leaf(extent)?,
            Role::Other => self.any_lane(extent),
        };
        let id = match lane {
            Some(lane) => self.write(lane, image)?,
            None => self.append(image)?,
        };
        if role == Role::Leaf {
            self.note_leaf(id, extent);
            self.stale.copy_from_slice(&padded(image)[..PAGE]);
        }
        Ok(id)
    }

    /// Writes the page behind all others, which ends the file.
    pub(super) fn place_last(&mut self, image: &mut [u8]) -> Result<u64> {
        self.append(image)
    }

    /// Fills what is left with free pages; returns the file, its high-water mark, and how many pages are free.
    pub(super) fn finish(mut self) -> Result<(File, u64, u64, Order)> {
        for lane in 0..self.lanes.len() {
            let left = self.lanes[lane].left();
            self.free_pages(lane, left)?;
            flush(&self.file, &mut self.lanes[lane])?;
        }
        flush(&self.file, &mut self.tail)?;
        Ok((self.file, self.tail.next, self.free, self.order))
    }

    fn lane_of_leaf(&mut self, extent: u64) -> Result<Option<usize>> {
        let goes_on = self.order.leaves > 0 && self.random.below(1000) < NEXT;
        if goes_on && self.lanes[self.current].left() >= extent {
            return Ok(Some(self.current));
        }
        let mut lane = self.next_of_group();
        if self.lanes[lane].left() < extent {
            match self.any_lane(extent) {
                Some(other) => lane = other,
                None => return Ok(None),
            }
        }
        self.current = lane;
        if self.owed >= self.gap * 1000 && self.lanes[lane].left() >= self.gap + extent {
            self.free_pages(lane, self.gap)?;
            self.owed -= self.gap * 1000;
            self.gap = self.next_gap();
        }
        Ok(Some(lane))
    }

    /// How many free pages lie in a row: mostly one or two, now and then many.
    fn next_gap(&mut self) -> u64 {
        let gap = match self.random.below(20) {
            0..14 => 1 + self.random.below(2),
            14..19 => 3 + self.random.below(6),
            _ => 10 + self.random.below(30),
        };
        gap as u64
    }

    fn next_of_group(&mut self) -> usize {
        if self.group.is_empty() {
            let long = self.random.below(10) < LONG_GROUPS;
            for _ in 0..if long { 3 } else { 2 } {
                let lane = self.emptier_lane();
                self.group.push(lane);
            }
            self.group.sort_unstable_by(|a, b| b.cmp(a));
        }
        self.group.pop().expect("a group has lanes")
    }

    /// The emptier one of two, so that all become full at about the same time.
    fn emptier_lane(&mut self) -> usize {
        let [a, b] = [(); 2].map(|()| self.random.below(self.lanes.len()));
        if self.lanes[a].left() < self.lanes[b].left() {
            b
        } else {
            a
        }
    }

    /// One with room, and not the one where leaves may go on.
    fn any_lane(&mut self, extent: u64) -> Option<usize> {
        for _ in 0..8 {
            let lane = self.emptier_lane();
            if lane != self.current && self.lanes[lane].left() >= extent {
                return Some(lane);
            }
        }
        (0..self.lanes.len()).find(|lane| self.lanes[*lane].left() >= extent)
    }

    fn write(&mut self, lane: usize, image: &mut [u8]) -> Result<u64> {
        let id = put(&mut self.lanes[lane], image);
        let extent = image.len().div_ceil(PAGE) as u64;
        self.left -= extent;
        self.owed += extent * FREE;
        let left = self.lanes[lane].left();
        if (1..FULL_PAGES).contains(&left) {
            self.free_pages(lane, left)?;
        }
        if self.lanes[lane].buffer.len() >= LANE_BUFFER_BYTES {
            flush(&self.file, &mut self.lanes[lane])?;
        }
        Ok(id)
    }

    fn append(&mut self, image: &mut [u8]) -> Result<u64> {
        let id = put(&mut self.tail, image);
        flush(&self.file, &mut self.tail)?;
        Ok(id)
    }

    fn free_pages(&mut self, lane: usize, count: u64) -> Result<()> {
        for _ in 0..count {
            put(&mut self.lanes[lane], &mut self.stale);
        }
        self.left -= count;
        self.free += count;
        Ok(())
    }

    fn note_leaf(&mut self, id: u64, extent: u64) {
        if let Some((before, its_extent)) = self.last_leaf {
            self.order.next += u64::from(id == before + its_extent);
            self.order.behind += u64::from(id < before);
        }
        self.order.leaves += 1;
        self.last_leaf = Some((id, extent));
    }
}

fn put(lane: &mut Lane, image: &mut [u8]) -> u64 {
    let id = lane.next;
    image[..8].copy_from_slice(&id.to_le_bytes());
    let extent = image.len().div_ceil(PAGE);
    let end = lane.buffer.len() + extent * PAGE;
    lane.buffer.extend_from_slice(image);
    lane.buffer.resize(end, 0);
    lane.next += extent as u64;
    id
}

fn flush(file: &File, lane: &mut Lane) -> Result<()> {
    let buffered = (lane.buffer.len() / PAGE) as u64;
    file.write_all_at(&lane.buffer, (lane.next - buffered) * PAGE as u64)
        .context("cannot write the database")?;
    lane.buffer.clear();
    Ok(())
}

fn padded(image: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if image.len() >= PAGE {
        return image.into();
    }
    let mut page = image.to_vec();
    page.resize(PAGE, 0);
    page.into()
}
