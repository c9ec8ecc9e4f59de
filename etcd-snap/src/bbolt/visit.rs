//! What the walk over a database hands to those who judge and count.

use super::page::{PageId, PageKind};
use super::pages::PageError;
use super::view::{LeafElement, PageView};
use crate::Result;
use crate::problem::{Problem, ProblemCode};

/// How far the walk goes into a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// To every record.
    Records,
    /// To the branches: leaves below a branch are named and not read.
    Branches,
    /// Not at all.
    Nothing,
}

/// Is told what the walk meets. An error of its own ends the walk.
pub(crate) trait Visitor {
    /// A bucket at the top begins; what is followed of it comes next.
    fn bucket(&mut self, name: &[u8]) -> Result<Follow>;
    /// The bucket that began last is over.
    fn bucket_end(&mut self);
    /// A key of the bucket that began last, or of one nested in it.
    fn record(&mut self, record: &mut Record<'_, '_>) -> Result<(), PageError>;
    /// A leaf that is not read, in the order of keys: no key in it may be smaller than `least`, and each must be smaller than
    /// `bound`. It is marked as in use; the pages that overflow from it are not.
    fn leaf(&mut self, id: PageId, least: &[u8], bound: Option<&[u8]>) {
        let _ = (id, least, bound);
    }
    /// Whether to go where all keys are smaller than `bound`.
    fn wants_below(&self, bound: &[u8]) -> bool {
        let _ = bound;
        true
    }
    /// A page of the bucket that began last, or of the root, with its overflow.
    fn page(&mut self, kind: PageKind, pages: u64) {
        let _ = (kind, pages);
    }
    fn problem(&mut self, problem: Problem);
    /// Another page has been walked: `done` of `total` at most.
    fn progress(&mut self, done: u64, total: u64) -> Result<()>;
}

/// A key with its value.
pub(crate) struct Record<'r, 'a> {
    pub(crate) key: &'r [u8],
    /// How deep the bucket is that holds it: 0 for one at the top.
    pub(crate) nesting: usize,
    pub(crate) page: PageId,
    /// Where its element stands in the file.
    pub(crate) offset: u64,
    /// The pages from the root to that one.
    pub(super) path: &'r [PageId],
    pub(super) view: &'r mut PageView<'a>,
    pub(super) element: LeafElement,
}

impl Record<'_, '_> {
    /// A bucket, not a value.
    pub(crate) fn is_bucket(&self) -> bool {
        self.element.is_bucket()
    }

    pub(crate) fn value_len(&self) -> u32 {
        self.element.value_len()
    }

    /// A part of the value, at most [`Record::AT_ONCE`] bytes.
    pub(crate) fn value_part(&mut self, from: u32, len: usize) -> Result<&[u8], PageError> {
        self.view.value_part(&self.element, from, len)
    }

    /// The most bytes that [`Record::value_part`] gives.
    pub(crate) const AT_ONCE: usize = PageView::AT_ONCE;

    /// Calls `each` with the value from `from` to `to`, piece by piece.
    pub(crate) fn value_pieces(
        &mut self,
        from: u32,
        to: u32,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), PageError> {
        let mut at = from;
        while at < to {
            let len = (to.saturating_sub(at) as usize).min(Self::AT_ONCE);
            each(self.value_part(at, len)?);
            at = at.saturating_add(len as u32);
        }
        Ok(())
    }

    pub(crate) fn damaged(&self, code: ProblemCode, message: impl Into<String>) -> Problem {
        Problem::damaged(code, message)
            .at(self.page, self.offset)
            .under(self.path)
            .with_key(self.key)
    }
}
