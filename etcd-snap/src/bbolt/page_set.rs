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

    /// The same pages once more.
    pub(super) fn copy(&self) -> Self {
        let word = |word: &AtomicU64| AtomicU64::new(word.load(Ordering::Relaxed));
        Self {
            words: self.words.iter().map(word).collect(),
            end: self.end,
        }
    }

    /// Inserts what one set has and another one has not. `false`: something of that is in this one already, or out of its bounds.
    pub(super) fn insert_all(&self, of: &Self, but: &Self) -> bool {
        if self.end < of.end || but.end != of.end {
            return false;
        }
        let mut new = true;
        for ((to, of), but) in self.words.iter().zip(&of.words).zip(&but.words) {
            let bits = of.load(Ordering::Relaxed) & !but.load(Ordering::Relaxed);
            new &= to.fetch_or(bits, Ordering::Relaxed) & bits == 0;
        }
        new
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

    #[test]
    fn what_came_since_is_inserted_once() {
        let [one, other] = [PageSet::new(70), PageSet::new(80)];
        one.insert(PageId::new(3));
        let before = one.copy();
        one.insert(PageId::new(69));
        assert!(other.insert_all(&one, &before));
        assert!(other.contains(PageId::new(69)) && other.len() == 1);
        assert!(!other.insert_all(&one, &before));
        assert!(!before.insert_all(&other, &one));
    }
}
