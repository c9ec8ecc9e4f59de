//! Where the leaves of one tree lie in the file, and which keys may stand in each: what the branches say.
//!
//! With it the leaves can be read in the order of the file, each held against its own bounds, without a look at its neighbours.

use super::page::PageId;

/// The leaves of a tree whose keys have an order-preserving form of 64 bits.
///
/// Memory: four bytes for each page of the file, and eight for each leaf.
#[derive(Debug)]
pub(crate) struct Leaves {
    /// For each page: its place among the leaves, counted from 1; 0 for every other page.
    places: Vec<u32>,
    /// For each leaf, in the order of keys: no key in it may be smaller. All keys must be smaller than that of the next one.
    least: Vec<u64>,
    /// What the least key of the next leaf has to be; `None` behind the last one.
    bound: Option<u64>,
}

/// The bounds of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) least: u64,
    pub(crate) below: u64,
}

impl Leaves {
    /// Bytes of memory for each page, at most: beside the two tables here, for the results of one leaf.
    pub(crate) const BYTES_PER_PAGE: u64 = 18;

    pub(crate) fn new(pages: u64) -> Option<Self> {
        let pages = usize::try_from(pages).ok()?;
        Some(Self {
            places: vec![0; pages],
            // Never all of it: memory that is not touched is not taken.
            least: Vec::with_capacity(pages),
            bound: None,
        })
    }

    /// The next leaf in the order of keys. `false`: its least key is not above that of the one before, or not the bound that
    /// the branches gave for that, or the page is a leaf already.
    pub(crate) fn push(&mut self, id: PageId, least: u64, bound: Option<u64>) -> bool {
        let follows = match self.least.last() {
            Some(before) => *before < least && self.bound == Some(least),
            None => true,
        };
        let place = usize::try_from(id.get())
            .ok()
            .and_then(|id| self.places.get_mut(id))
            .filter(|place| **place == 0);
        let (Some(place), true) = (place, follows) else {
            return false;
        };
        self.least.push(least);
        self.bound = bound;
        let Ok(number) = u32::try_from(self.least.len()) else {
            return false;
        };
        *place = number;
        true
    }

    /// These are the leaves of another database, and more behind them, both in the file and in the order of keys.
    pub(crate) fn continue_those_of(&self, before: &Self) -> bool {
        self.least.starts_with(&before.least) && self.places.starts_with(&before.places)
    }

    pub(crate) fn len(&self) -> usize {
        self.least.len()
    }

    pub(crate) fn bounds(&self, leaf: usize) -> Option<Bounds> {
        let next = leaf.checked_add(1)?;
        Some(Bounds {
            least: *self.least.get(leaf)?,
            below: self.least.get(next).copied().unwrap_or(u64::MAX),
        })
    }

    /// The first leaf that may hold a key above this one.
    pub(crate) fn first_above(&self, key: u64) -> usize {
        self.least
            .partition_point(|least| *least <= key)
            .saturating_sub(1)
    }

    /// Some of the leaves, from all over the file.
    pub(crate) fn some(&self, most: usize) -> impl Iterator<Item = PageId> + '_ {
        let step = self.places.len().div_ceil(most.max(1)).max(1);
        (0..self.places.len())
            .step_by(step)
            .filter_map(move |from| {
                let pages = self.places.get(from..)?.iter().take(step);
                let ahead = pages.take_while(|place| **place == 0).count();
                let page = from.checked_add(ahead).filter(|_| ahead < step)?;
                Some(PageId::new(page as u64))
            })
    }

    /// Which of these pages are leaves: the number of the page among them, and the leaf.
    pub(super) fn among(
        &self,
        first: u64,
        pages: usize,
    ) -> impl Iterator<Item = (usize, usize)> + '_ {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let places = first
            .checked_add(pages)
            .map(|end| end.min(self.places.len()))
            .and_then(|end| self.places.get(first..end))
            .unwrap_or_default();
        places
            .iter()
            .enumerate()
            .filter_map(|(n, place)| Some((n, usize::try_from(*place).ok()?.checked_sub(1)?)))
    }
}
