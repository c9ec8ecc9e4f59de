//! A page on the way of the walk, with what bounds it and what its elements have claimed so far.

use super::pages::PageError;
use super::view::PageView;
use crate::problem::{Problem, ProblemCode};

/// A page of the path from the root, and the keys that bound what may stand below it.
pub(super) struct Frame<'a> {
    pub(super) view: PageView<'a>,
    pub(super) next: u16,
    /// No key below may be smaller.
    pub(super) least: Option<Vec<u8>>,
    /// Every key below must be smaller.
    pub(super) bound: Option<Vec<u8>>,
    /// The greatest key met so far below this page.
    pub(super) greatest: Option<Vec<u8>>,
    /// Bytes of the page that the elements so far have claimed. Honest elements do not overlap, so that the work for a
    /// page stays within its size.
    pub(super) claimed: u64,
    /// Where the keys and values of the elements so far end.
    pub(super) bodies_end: u64,
    /// An element began before that, which has been said.
    pub(super) overlapping: bool,
    pub(super) inline: bool,
}

impl<'a> Frame<'a> {
    pub(super) fn new(view: PageView<'a>) -> Self {
        Self {
            view,
            next: 0,
            least: None,
            bound: None,
            greatest: None,
            claimed: 0,
            bodies_end: 0,
            overlapping: false,
            inline: false,
        }
    }

    /// Accounts for the bytes of an element. `Err`: there is no point in looking at the rest of the page.
    pub(super) fn claim(&mut self, index: u16, bytes: u64) -> Result<(), PageError> {
        self.claimed = self.claimed.saturating_add(bytes);
        if self.claimed <= self.view.len() {
            return Ok(());
        }
        let message = format!("element {index} shares bytes with the elements before it");
        Err(self.view.damaged(ProblemCode::Element, message).into())
    }

    /// bbolt writes keys and values in the order of their elements (`WriteInodeToPage`), so one that begins before the end of
    /// the one before has a wrong position or size, or that one has. Said once a page: one wrong size can make many of them.
    pub(super) fn overlap(&mut self, index: u16, start: u64, end: u64) -> Option<Problem> {
        let first = start < self.bodies_end && !self.overlapping;
        self.overlapping |= first;
        self.bodies_end = self.bodies_end.max(end);
        first.then(|| {
            let message = format!("element {index} begins before the one in front of it ends");
            Problem::damaged(ProblemCode::Element, message)
                .at(self.view.id(), self.view.element_offset(index))
        })
    }
}
