//! The pages of one bucket, from the leaves up.

use super::Element;
use super::out::Out;
use crate::Result;
use crate::bbolt::image::{self, Branch, Leaf};
use crate::bbolt::page::{ELEMENT_LEN, PageHeader, PageId};

/// Elements of a page at least, if there are as many: bbolt gives up when it has to merge a page that has no siblings.
const LEAST: usize = 2;
/// Elements of a page at most. Twice as many can still be counted.
const MOST: usize = 0x7FFF;

/// What takes its place in a page.
pub(super) trait Sized {
    fn size(&self) -> u64;
}

impl Sized for Element {
    fn size(&self) -> u64 {
        ELEMENT_LEN
            .saturating_add(self.key.len() as u64)
            .saturating_add(self.value.len())
    }
}

impl Sized for Branch {
    fn size(&self) -> u64 {
        ELEMENT_LEN.saturating_add(self.key.len() as u64)
    }
}

/// The last two pages of a level: the elements of the one before may have to be shared out anew when the last gets too few.
#[derive(Debug)]
struct Level<E> {
    before: Vec<E>,
    last: Vec<E>,
    /// Bytes of the last, with its header.
    last_size: u64,
    page_size: u64,
}

impl<E: Sized> Level<E> {
    fn new(page_size: u64) -> Self {
        Self {
            before: Vec::new(),
            last: Vec::new(),
            last_size: PageHeader::LEN as u64,
            page_size,
        }
    }

    /// Takes the next element. Gives a page, if one is finished.
    fn push(&mut self, element: E) -> Option<Vec<E>> {
        // What bbolt fills of a page when it is told to copy a database: nine tenths.
        let fill = self.page_size.saturating_mul(9) / 10;
        let size = self.last_size.saturating_add(element.size());
        let is_full = (self.last.len() >= LEAST && size > fill) || self.last.len() >= MOST;
        let mut finished = Vec::new();
        if is_full {
            let last = std::mem::take(&mut self.last);
            finished = std::mem::replace(&mut self.before, last);
            self.last_size = PageHeader::LEN as u64;
        }
        self.last_size = self.last_size.saturating_add(element.size());
        self.last.push(element);
        (!finished.is_empty()).then_some(finished)
    }

    /// The pages that are left: one or two, or one that is empty.
    fn finish(mut self) -> Vec<Vec<E>> {
        if self.before.is_empty() {
            return vec![self.last];
        }
        let all = size_of(&self.before).saturating_add(self.last_size);
        // The header was counted twice.
        let together = all.saturating_sub(PageHeader::LEN as u64) < self.page_size;
        let few = self.before.len().saturating_add(self.last.len()) <= 2 * LEAST;
        if together || few {
            self.before.append(&mut self.last);
            return vec![self.before];
        }
        if self.last.len() < LEAST
            && let Some(element) = self.before.pop()
        {
            self.last.insert(0, element);
        }
        vec![self.before, self.last]
    }
}

fn size_of<E: Sized>(elements: &[E]) -> u64 {
    let sizes = elements.iter().map(Sized::size);
    sizes.fold(PageHeader::LEN as u64, u64::saturating_add)
}

/// A bucket that is being written. Its elements come in the order of their keys.
#[derive(Debug)]
pub(super) struct Tree {
    leaves: Level<Element>,
    /// The lowest first.
    branches: Vec<Level<Branch>>,
}

/// What became of a bucket.
pub(super) enum Finished {
    Page(PageId),
    /// The bytes of the page that lies in the bucket's value.
    Inline(Vec<u8>),
}

impl Tree {
    pub(super) fn new(page_size: u64) -> Self {
        Self {
            leaves: Level::new(page_size),
            branches: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, out: &mut Out<'_>, element: Element) -> Result<()> {
        match self.leaves.push(element) {
            Some(page) => self.leaf(out, &page),
            None => Ok(()),
        }
    }

    /// Writes what is left. What bbolt would keep inline becomes so, if it `may`.
    pub(super) fn finish(mut self, out: &mut Out<'_>, may_be_inline: bool) -> Result<Finished> {
        let page_size = out.page_size();
        let leaves = std::mem::replace(&mut self.leaves, Level::new(page_size));
        let mut pages = leaves.finish();
        if self.branches.is_empty() && pages.len() == 1 {
            let only = pages.pop().unwrap_or_default();
            // `Bucket.inlineable`.
            let is_small = size_of(&only) <= page_size / 4;
            if may_be_inline && is_small && !only.iter().any(|element| element.is_bucket) {
                return inline(out, only).map(Finished::Inline);
            }
            return out.leaf(&only).map(Finished::Page);
        }
        for page in pages {
            self.leaf(out, &page)?;
        }
        let mut level = 0_usize;
        loop {
            let is_top = level.saturating_add(1) >= self.branches.len();
            let Some(branches) = self.branches.get_mut(level) else {
                return Err(crate::Error::invalid("a tree has leaves and no branch"));
            };
            let branches = std::mem::replace(branches, Level::new(page_size));
            let pages = branches.finish();
            if let (true, [root]) = (is_top, pages.as_slice()) {
                return out.branch(root).map(Finished::Page);
            }
            level = level.saturating_add(1);
            for page in pages {
                self.branch(out, page, level)?;
            }
        }
    }

    fn leaf(&mut self, out: &mut Out<'_>, page: &[Element]) -> Result<()> {
        let key = page.first().map(|first| first.key.clone());
        let child = out.leaf(page)?;
        let key = key.unwrap_or_default();
        self.refer(out, Branch { key, child }, 0)
    }

    fn branch(&mut self, out: &mut Out<'_>, page: Vec<Branch>, level: usize) -> Result<()> {
        let child = out.branch(&page)?;
        let key = page.into_iter().next().map(|first| first.key);
        let key = key.unwrap_or_default();
        self.refer(out, Branch { key, child }, level)
    }

    /// Puts a page that was written into the branches above it.
    fn refer(&mut self, out: &mut Out<'_>, branch: Branch, level: usize) -> Result<()> {
        if level >= self.branches.len() {
            self.branches.push(Level::new(out.page_size()));
        }
        let finished = self
            .branches
            .get_mut(level)
            .and_then(|level| level.push(branch));
        match finished {
            Some(page) => self.branch(out, page, level.saturating_add(1)),
            None => Ok(()),
        }
    }
}

fn inline(out: &Out<'_>, elements: Vec<Element>) -> Result<Vec<u8>> {
    let elements: Vec<_> = elements
        .into_iter()
        .map(|element| {
            Ok(Leaf {
                key: element.key,
                value: out.whole(element.value)?,
                is_bucket: false,
            })
        })
        .collect::<Result<_>>()?;
    image::leaf(&elements).ok_or_else(|| crate::Error::invalid("an inline bucket is too large"))
}
