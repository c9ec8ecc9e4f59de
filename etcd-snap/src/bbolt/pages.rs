//! Reading pages: every offset, count and size in them is checked before it is used, and memory stays within three small
//! windows a page, however large the page claims to be.

use super::meta::Meta;
use super::page::{PageHeader, PageId, PageKind};
use super::view::PageView;
use crate::Error;
use crate::io::ReadAt;
use crate::problem::{Problem, ProblemCode};

/// Why a page, or a part of it, could not be had.
#[derive(Debug)]
pub(crate) enum PageError {
    /// The source cannot be read, or somebody asked to stop: there is no point in going on.
    Failed(Error),
    /// This place is damaged; others may be whole.
    Damaged(Box<Problem>),
}

impl From<Problem> for PageError {
    fn from(problem: Problem) -> Self {
        Self::Damaged(Box::new(problem))
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<PageError> for Error {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Failed(error) => error,
            PageError::Damaged(problem) => (*problem).into(),
        }
    }
}

/// Where a bucket's pages are (formats.md 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BucketRoot {
    Page(PageId),
    /// In the value itself: a page image of that many bytes, from that byte of the file.
    Inline {
        page: PageId,
        offset: u64,
        len: u64,
    },
}

impl BucketRoot {
    /// Bytes of a bucket's value in front of an inline page; all of it where there is none.
    pub(crate) const HEADER_LEN: u32 = 16;
}

/// The pages of one database.
#[derive(Clone, Copy)]
pub(crate) struct Pages<'a> {
    source: &'a dyn ReadAt,
    page_size: u64,
    /// Pages below this exist: the high-water mark, or what the file holds where that is less.
    end: u64,
    high_water: u64,
}

impl<'a> Pages<'a> {
    /// `size_bytes`: what the file holds of the database, without the digest.
    pub(crate) fn new(source: &'a dyn ReadAt, meta: &Meta, size_bytes: u64) -> Self {
        let page_size = u64::from(meta.page_size);
        let high_water = meta.high_water.get();
        Self {
            source,
            page_size,
            end: high_water.min(size_bytes.checked_div(page_size).unwrap_or_default()),
            high_water,
        }
    }

    /// One past the last page that can be read.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// How many pages have no more than so many bytes.
    pub(super) fn most_in(&self, bytes: u64) -> u64 {
        bytes.checked_div(self.page_size).unwrap_or_default()
    }

    pub(crate) fn offset(&self, id: PageId) -> u64 {
        id.get().saturating_mul(self.page_size)
    }

    /// Opens a page, which must carry its own id and lie wholly below the high-water mark and the end of the file.
    pub(crate) fn open(&self, id: PageId) -> Result<PageView<'a>, PageError> {
        let offset = self.offset(id);
        let damaged = |code, message: String| Problem::damaged(code, message).at(id, offset);
        if id.get() >= self.end {
            let message = if id.get() >= self.high_water {
                format!(
                    "the page is at or above the high-water mark {}",
                    self.high_water
                )
            } else {
                "the page lies behind the end of the file".to_owned()
            };
            let mut problem = damaged(ProblemCode::PageOutOfBounds, message);
            // A number beyond all files stands for no byte.
            problem.offset = id.get().checked_mul(self.page_size);
            return Err(problem.into());
        }
        let mut view = PageView::begin(self.source, id, offset, self.page_size)?;
        let header = view.header();
        if header.id != id {
            return Err(damaged(
                ProblemCode::PageId,
                format!("the page calls itself {}", header.id),
            )
            .into());
        }
        let kind = PageKind::from_flags(header.flags).ok_or_else(|| {
            damaged(
                ProblemCode::PageKind,
                format!("the page is of no known kind: flags {:#x}", header.flags),
            )
        })?;
        let pages = u64::from(header.overflow).saturating_add(1);
        if id.get().saturating_add(pages) > self.end {
            return Err(damaged(
                ProblemCode::PageOutOfBounds,
                format!(
                    "the page claims {} pages behind it, more than there are below {}",
                    header.overflow, self.end
                ),
            )
            .into());
        }
        view.settle(kind, pages.saturating_mul(self.page_size))?;
        Ok(view)
    }

    /// Opens the page image inside the value of an inline bucket.
    pub(crate) fn open_inline(
        &self,
        page: PageId,
        offset: u64,
        len: u64,
    ) -> Result<PageView<'a>, PageError> {
        let mut view = PageView::begin(self.source, page, offset, len)?;
        let flags = view.header().flags;
        if PageKind::from_flags(flags) != Some(PageKind::Leaf) {
            let message = format!("an inline bucket is not a leaf: flags {flags:#x}");
            return Err(view.damaged(ProblemCode::PageKind, message).into());
        }
        view.settle(PageKind::Leaf, len)?;
        Ok(view)
    }

    /// Calls `each` with every id of the freelist page and its place in the file (formats.md 1.5), and returns the
    /// number of pages that the list itself takes.
    pub(crate) fn freelist(
        &self,
        id: PageId,
        mut each: impl FnMut(PageId, u64),
    ) -> Result<u64, PageError> {
        /// The count of a list whose real count stands in its first entry.
        const COUNT_IN_FIRST_ENTRY: u16 = 0xFFFF;
        const ID_LEN: u64 = 8;

        let mut view = self.open(id)?;
        if view.kind() != PageKind::Freelist {
            let message = format!("the meta names a {} page as the freelist", view.kind());
            return Err(view.damaged(ProblemCode::PageKind, message).into());
        }
        let mut at = PageHeader::LEN as u64;
        let mut count = u64::from(view.count());
        if view.count() == COUNT_IN_FIRST_ENTRY {
            count = view.u64_at(at)?;
            at = at.saturating_add(ID_LEN);
        }
        if count.saturating_mul(ID_LEN).saturating_add(at) > view.len() {
            let message = format!("the freelist claims {count} pages, more than fit in it");
            return Err(view.damaged(ProblemCode::Freelist, message).into());
        }
        for _ in 0..count {
            let free = view.u64_at(at)?;
            each(PageId::new(free), view.offset().saturating_add(at));
            at = at.saturating_add(ID_LEN);
        }
        Ok(view.page_count())
    }
}
