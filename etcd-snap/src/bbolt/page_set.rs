//! Which pages have been seen: a bit a page.

use std::sync::atomic::{AtomicU64, Ordering};

use super::page::PageId;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Insert {
    New,
    Again,
    OutOfBounds,
}

/// A bit a page. Several threads may insert at once; each insertion is told to exactly one of them as new.
#[derive(Debug)]
pub(super) struct PageSet {
    words: Vec<AtomicU64>,
    end: u64,
}

impl PageSet {
    pub(super) fn new(end: u64) -> Self {
        let words = usize::try_from(end.div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            end,
        }
    }

    fn place(&self, page: PageId) -> Option<(&AtomicU64, u64)> {
        let word = usize::try_from(page.get() >> 6).ok()?;
        let word = self.words.get(word).filter(|_| page.get() < self.end)?;
        Some((word, 1 << (page.get() & 63)))
    }

    pub(super) fn contains(&self, page: PageId) -> bool {
        self.place(page)
            .is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    pub(super) fn insert(&self, page: PageId) -> Insert {
        let Some((word, bit)) = self.place(page) else {
            return Insert::OutOfBounds;
        };
        if word.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return Insert::Again;
        }
        Insert::New
    }

    /// How many pages are in it.
    pub(super) fn len(&self) -> u64 {
        let ones = |word: &AtomicU64| u64::from(word.load(Ordering::Relaxed).count_ones());
        self.words.iter().map(ones).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_set_knows_its_bounds() {
        let set = PageSet::new(65);
        assert_eq!(set.insert(PageId::new(64)), Insert::New);
        assert_eq!(set.insert(PageId::new(64)), Insert::Again);
        assert_eq!(set.insert(PageId::new(65)), Insert::OutOfBounds);
        assert!(set.contains(PageId::new(64)) && !set.contains(PageId::new(63)));
        assert_eq!(set.len(), 1);
    }
}
