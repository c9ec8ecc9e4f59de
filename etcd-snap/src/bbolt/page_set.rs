//! Which pages have been seen: a bit a page.

use super::page::PageId;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Insert {
    New,
    Again,
    OutOfBounds,
}

/// A bit a page.
pub(super) struct PageSet {
    words: Vec<u64>,
    end: u64,
}

impl PageSet {
    pub(super) fn new(end: u64) -> Self {
        let words = usize::try_from(end.div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            words: vec![0; words],
            end,
        }
    }

    fn place(&self, page: PageId) -> Option<(usize, u64)> {
        (page.get() < self.end).then(|| ((page.get() >> 6) as usize, 1 << (page.get() & 63)))
    }

    pub(super) fn contains(&self, page: PageId) -> bool {
        self.place(page)
            .and_then(|(word, bit)| Some(self.words.get(word)? & bit != 0))
            .unwrap_or(false)
    }

    pub(super) fn insert(&mut self, page: PageId) -> Insert {
        let Some((word, bit)) = self.place(page) else {
            return Insert::OutOfBounds;
        };
        let Some(word) = self.words.get_mut(word) else {
            return Insert::OutOfBounds;
        };
        if *word & bit != 0 {
            return Insert::Again;
        }
        *word |= bit;
        Insert::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_set_knows_its_bounds() {
        let mut set = PageSet::new(65);
        assert_eq!(set.insert(PageId::new(64)), Insert::New);
        assert_eq!(set.insert(PageId::new(64)), Insert::Again);
        assert_eq!(set.insert(PageId::new(65)), Insert::OutOfBounds);
        assert!(set.contains(PageId::new(64)) && !set.contains(PageId::new(63)));
    }
}
